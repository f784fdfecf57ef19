"""What a repository on the Hub holds at one commit, and errors of the Hub in one line.

Names, tokens, endpoints and redirects are `huggingface_hub`'s business. Its downloads are not
used: since version 2 they begin anew when a process was killed or a connection was lost for good.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.export.checkpoint.hub import endpoint
from uhd_edge.runtime.errors import DownloadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from huggingface_hub.hf_api import RepoSibling

SECONDS = 30.0  # without a byte, after which a connection counts as broken
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds between attempts that brought nothing
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers that a later attempt may not get
AGAIN = "run the same command again, it goes on where it stopped"


class BrokenConnectionError(DownloadError):
    """The Hub could not be reached, or the connection broke; another attempt may do better."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of `repository` at the commit `revision`.

    `sha256` is that of a large file; a small one has only git's `blob_id`.
    """

    repository: str
    revision: str
    name: str
    bytes: int
    sha256: str | None
    blob_id: str


@dataclass(frozen=True)
class Repository:
    """A repository and its files at one commit."""

    name: str
    revision: str
    files: tuple[RemoteFile, ...]


def list_repository(name: str, revision: str | None = None) -> Repository:
    """List the files of a repository at the commit that `revision` means now; without it, the main branch.

    Raises `DownloadError`, in one line, when the Hub cannot be reached or does not give it.
    """
    endpoint()  # huggingface_hub does not load where it is none
    for pause in PAUSES[:2]:  # who has no network at all should not wait long to hear it
        try:
            return _listed(name, revision)
        except BrokenConnectionError:
            time.sleep(pause)
    return _listed(name, revision)


def _listed(name: str, revision: str | None) -> Repository:
    from huggingface_hub import HfApi

    with hub_errors(name if revision is None else f"{name} at {revision}"):
        found = HfApi(endpoint=endpoint()).model_info(name, revision=revision, files_metadata=True, timeout=SECONDS)
    commit = found.sha
    if commit is None:
        raise DownloadError(f"{name}: {endpoint()} does not say which commit it gives; check HF_ENDPOINT")
    return Repository(name, commit, tuple(_remote_file(name, commit, entry) for entry in found.siblings or ()))


def _remote_file(repository: str, commit: str, entry: RepoSibling) -> RemoteFile:
    sha256, blob_id = entry.lfs.sha256 if entry.lfs else None, entry.blob_id or ""
    # They become file names here, so a server may not say just anything.
    if entry.size is None or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", sha256 or blob_id):
        raise DownloadError(f"{repository}: {endpoint()} states no checksum of {entry.rfilename}; check HF_ENDPOINT")
    return RemoteFile(repository, commit, entry.rfilename, entry.size, sha256, blob_id)


@contextmanager
def hub_errors(what: str) -> Iterator[None]:
    """Turn errors of the Hub, and of the way to it, into a `DownloadError` about `what`."""
    from huggingface_hub import errors

    # The base class of the HTTP library that huggingface_hub uses; which one depends on its version.
    # It is there in every version, though not in the list of public names.
    http_error: type[Exception] = errors.HTTPError  # pyright: ignore[reportPrivateImportUsage]
    try:
        yield
    except errors.GatedRepoError as error:
        raise DownloadError(
            f"{what}: its owner asks for consent; give it on {endpoint()}, then set HF_TOKEN to your token"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise DownloadError(
            f"{what}: no such public repository on {endpoint()}; for a private one set HF_TOKEN to your token"
        ) from error
    except (errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise DownloadError(f"{what}: not there on {endpoint()}") from error
    except errors.HFValidationError as error:
        raise DownloadError(f"{what}: not a name on the Hub; one is OWNER/NAME") from error
    except errors.OfflineModeIsEnabled as error:
        raise DownloadError(f"{what}: HF_HUB_OFFLINE is set; unset it to download") from error
    except errors.HfHubHTTPError as error:
        raise _answered(what, error.response.status_code) from error
    except (http_error, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:  # of a file here, not of the network
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BrokenConnectionError(f"{what}: {endpoint()} cannot be reached ({reason}); {AGAIN}") from error


def _answered(what: str, status: int) -> DownloadError:
    if status in BUSY:
        return BrokenConnectionError(f"{what}: {endpoint()} is busy (status {status}); {AGAIN}")
    if status in (401, 403):
        return DownloadError(f"{what}: {endpoint()} refuses the token (status {status}); set HF_TOKEN to a valid one")
    return DownloadError(f"{what}: {endpoint()} answers with status {status}")
