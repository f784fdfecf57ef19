"""Finds or downloads a checkpoint by its Hugging Face name."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from uhd_edge.engines.extras import extra_needed
from uhd_edge.runtime.errors import CheckpointError, DownloadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HUB = "https://huggingface.co"
# The files that an export needs: not the pictures, other formats or code beside them.
BESIDE_WEIGHTS = ("*.json", "*.jinja", "*.txt")
PATTERNS = (*BESIDE_WEIGHTS, "*.safetensors")


def is_hub_name(source: str) -> bool:
    """Whether `source` has the form `owner/name`."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source) is not None


def endpoint() -> str:
    """The Hub's address: `$HF_ENDPOINT`, or huggingface.co; raises `DownloadError` for what is no address."""
    address = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that are left open, a port that is no number
        is_address = False
    if not is_address:
        raise DownloadError(f"HF_ENDPOINT is {address!r}; it must be an address such as {HUB}")
    return address


def download(name: str, patterns: Sequence[str] = PATTERNS) -> Path:
    """Find the checkpoint `name` in Hugging Face's cache, or download it. Returns its folder.

    Only files whose names fit one of the `patterns` are needed.

    Raises `CheckpointError` when it is neither in the cache nor on the Hub, and `DownloadError` where `$HF_ENDPOINT` is
    no address.
    """
    endpoint()  # huggingface_hub does not load where it is none
    with extra_needed("export", "downloading"):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    try:
        with _bars_on_a_terminal():
            return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except GatedRepoError as error:
        raise CheckpointError(
            f"{name}: its owner wants users to accept terms; accept them on huggingface.co and log in"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(f"{name}: neither a local folder nor a public checkpoint on Hugging Face") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise CheckpointError(
            f"{name}: no such folder, and Hugging Face cannot be reached; check the network, or name a local folder"
        ) from error


@contextmanager
def _bars_on_a_terminal() -> Iterator[None]:
    """Show progress bars on a terminal only, so that they do not fill a log file."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    quieten = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if quieten:
        disable_progress_bars()
    try:
        yield
    finally:
        if quieten:
            enable_progress_bars()
