"""One file from the Hub: fetched piece by piece, resumed where it broke off, and checked.

Pieces go to a file that is named by the checksum, so that an attempt goes on with what an
earlier one has left, whatever ended that one. The file gets its own name once its checksum
is right.
"""

from __future__ import annotations

import hashlib
import os
import time
from io import FileIO
from typing import TYPE_CHECKING, Protocol

from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.export.checkpoint.hub import endpoint
from uhd_edge.export.pulling.hub import AGAIN, PAUSES, SECONDS, BrokenConnectionError, hub_errors
from uhd_edge.runtime.errors import DownloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from uhd_edge.export.pulling.hub import RemoteFile

    # Called with the bytes of the file that are there.
    Arrived = Callable[[int], None]


class _Response(Protocol):
    """What is used of an answer of httpx, whichever version huggingface_hub brings."""

    @property
    def status_code(self) -> int: ...

    def iter_bytes(self) -> Iterator[bytes]: ...


def fetch(file: RemoteFile, target: Path, part: Path, *, arrived: Arrived = lambda _: None) -> None:
    """Bring `file` to `target`, going on with what an earlier attempt has left in the file `part`.

    A file that is at `target` already is taken if its checksum is right. Raises `DownloadError`
    when the connection breaks again and again or the checksum stays wrong, and `OSError` when
    `target` or `part` cannot be written.
    """
    if target.is_file() and is_right(file, target):
        arrived(file.bytes)
        return
    resumed = part.exists()
    _complete(file, part, arrived)
    if not is_right(file, part):
        part.unlink()
        if not resumed:
            raise DownloadError(
                f"{file.name} of {file.repository}: what {endpoint()} sends has another checksum than it states; "
                "nothing of it is kept, try again later"
            )
        fetch(file, target, part, arrived=arrived)  # what had been there may have been damaged
        return
    _to_disk(part)
    part.replace(target)


def is_right(file: RemoteFile, path: Path) -> bool:
    """Whether the file at `path` has the size and the checksum of `file`."""
    if path.stat().st_size != file.bytes:
        return False
    return compute_sha256(path) == file.sha256 if file.sha256 else _git_blob_id(path) == file.blob_id


def _complete(file: RemoteFile, part: Path, arrived: Arrived) -> None:
    """Add what is missing to `part`, in as many attempts as it takes, while each brings something."""
    fruitless = 0
    while (begun := _size(part)) < file.bytes or not part.exists():
        try:
            _append(file, part, begun, arrived)
        except BrokenConnectionError:
            fruitless = 0 if _size(part) > begun else fruitless + 1
            if fruitless > len(PAUSES):
                raise
            if fruitless:
                time.sleep(PAUSES[fruitless - 1])
    arrived(file.bytes)


def _append(file: RemoteFile, part: Path, begun: int, arrived: Arrived) -> None:
    """Add to `part`, which has `begun` bytes, until the file is whole or the connection ends."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url = hf_hub_url(file.repository, file.name, revision=file.revision, endpoint=endpoint())
    # Compressed, the bytes would not be those that a range counts.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if begun:
        headers["Range"] = f"bytes={begun}-"
    what = f"{file.name} of {file.repository}"
    with hub_errors(what), get_session().stream("GET", url, headers=headers, timeout=SECONDS) as response:
        hf_raise_for_status(response)
        _write(response, part, begun, file.bytes, arrived)
    if _size(part) < file.bytes:
        raise BrokenConnectionError(f"{what}: the connection broke at {_size(part)} of {file.bytes} bytes; {AGAIN}")


def _write(response: _Response, part: Path, begun: int, size: int, arrived: Arrived) -> None:
    """Write an answer's bytes; an answer that is not the rest begins at the beginning."""
    with FileIO(part, "ab") as stream:  # without a buffer, so that all that has arrived survives a kill
        if response.status_code != 206:
            stream.truncate(0)
            begun = 0
        for piece in response.iter_bytes():
            _write_all(stream, piece, part)
            begun += len(piece)
            if begun > size:
                break  # the checksum is wrong then
            arrived(begun)


def _write_all(stream: FileIO, piece: bytes, part: Path) -> None:
    """Write `piece`; what a full disk still takes of it is kept."""
    rest = memoryview(piece)
    try:
        while rest:
            rest = rest[stream.write(rest) :]
    except OSError as error:  # it has no file name, and would look like one of the network
        raise OSError(error.errno, error.strerror, str(part)) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _git_blob_id(path: Path) -> str:
    """Git's name for a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _to_disk(path: Path) -> None:
    """Wait until it is on the disk, so that a power failure cannot leave a file with its name and not its bytes."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
