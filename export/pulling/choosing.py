"""What is pulled: which repositories or folder stand behind a name, and which of their files are needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.export.checkpoint.hub import PATTERNS, is_hub_name
from uhd_edge.export.language_model.quantize import FILE_TYPES, file_type
from uhd_edge.export.pulling.hub import BrokenConnectionError, list_repository
from uhd_edge.runtime.bundles.bundle import MANIFEST
from uhd_edge.runtime.bundles.known_models import KNOWN_MODELS, find_known
from uhd_edge.runtime.errors import CheckpointError, DownloadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.export.pulling.hub import RemoteFile, Repository

# Where a repository's owner, or somebody else, puts its GGUF.
GGUF_SUFFIXES = ("", "-gguf", "-GGUF")
# How llama.cpp's converter begins the names of vision towers and of layers that guess tokens ahead.
_OTHER_MODELS = ("mmproj", "mtp-")
_PART = re.compile(r"-\d{5}-of-\d{5}$")
# The address of a repository's page, as browsers have it.
_ADDRESS = re.compile(
    r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/"
    r"((?!datasets/|spaces/)[^/?#]+/[^/?#]+?)(?:/tree/main)?/?(?:[?#].*)?"
)


@dataclass(frozen=True)
class Wanted:
    """A model that is asked for.

    `checkpoint` is a repository on the Hub, or `folder` a checkpoint on this machine. `gguf` are
    the repositories where its language model may be, in this order. `name` is what it is kept
    under if nobody says otherwise.
    """

    name: str
    checkpoint: str | None = None
    folder: Path | None = None
    gguf: tuple[str, ...] = ()


def wanted_model(model: str) -> Wanted:
    """Find out what `model` is: a known name, a checkpoint's folder, or a repository `OWNER/NAME` or its address.

    Raises `CheckpointError` for anything else.
    """
    if not model.strip():  # as a path it would be the current folder
        raise CheckpointError(f"the model's name is empty; give a known one ({', '.join(KNOWN_MODELS)})")
    page = _ADDRESS.fullmatch(model)
    model = (page[1] if page else model.rstrip("/")) or model
    known = find_known(model)
    if known is not None:
        gguf = (known.gguf,) if known.gguf else tuple(known.checkpoint + end for end in GGUF_SUFFIXES)
        return Wanted(known.name, checkpoint=known.checkpoint, gguf=gguf)
    folder = Path(model).expanduser()
    if folder.is_dir():
        if (folder / MANIFEST).is_file():
            raise CheckpointError(f"{folder}: is a bundle already; name it with --bundle {folder}")
        return Wanted(folder.resolve().name.lower(), folder=folder)
    if is_hub_name(model):
        return Wanted(
            model.partition("/")[2].lower(), checkpoint=model, gguf=tuple(model + end for end in GGUF_SUFFIXES)
        )
    raise CheckpointError(
        f"{model}: neither a known model ({', '.join(KNOWN_MODELS)}), nor a folder, nor OWNER/NAME on the Hub"
    )


def checkpoint_files(repository: Repository) -> list[RemoteFile]:
    """The files of a checkpoint, the smallest first. Raises `CheckpointError` when there are no weights."""
    files = [file for file in repository.files if "/" not in file.name and Path(file.name).match(_any_of(file.name))]
    if not any(file.name.endswith(".safetensors") for file in files):
        raise CheckpointError(f"{repository.name}: no checkpoint, there are no safetensors in it")
    return sorted(files, key=lambda file: file.bytes)


def _any_of(name: str) -> str:
    return next((pattern for pattern in PATTERNS if Path(name).match(pattern)), "no such file")


def find_language_model(repositories: Sequence[str], llm_type: str) -> RemoteFile | None:
    """Find the GGUF of a type such as `q4_k_m`; None when none of the repositories is there.

    Raises `DownloadError` when one has GGUF files, but not of this type.
    """
    file_type(llm_type)
    for name in repositories:
        try:
            files = language_models(list_repository(name))
        except BrokenConnectionError:  # one that may be there must not end in a conversion of gigabytes
            raise
        except DownloadError:
            if len(repositories) == 1:  # the official one, which must be there
                raise
            continue
        if files and llm_type.lower() not in files:
            raise DownloadError(
                f"{name}: no language model of type {llm_type}; valid are {', '.join(sorted(files))} with --llm-type"
            )
        if files:
            return files[llm_type.lower()]
    return None


def language_models(repository: Repository) -> dict[str, RemoteFile]:
    """The language models of a repository by their type, which ends their file names: `..-Q4_K_M.gguf`."""
    found: dict[str, RemoteFile] = {}
    for file in repository.files:
        stem = file.name.lower().removesuffix(".gguf")
        if stem == file.name.lower() or "/" in stem or stem.startswith(_OTHER_MODELS) or _PART.search(stem):
            continue
        types = [known for known in FILE_TYPES if re.search(rf"(^|[-._]){re.escape(known)}$", stem)]
        if types:
            found[max(types, key=len)] = file
    return found
