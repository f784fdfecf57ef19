"""WebDataset: tar files whose members belong together by their name up to the first dot.

Of a sample, the members with the suffix of a picture are its pictures, and a member `json` has its values, such as a
question. See https://github.com/webdataset/webdataset.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from uhd_edge.rows.errors import DataSetError
from uhd_edge.rows.row import RawRow, renamed_values
from uhd_edge.runtime.images.loading import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

SUFFIXES = (".tar", ".tgz")
BLOCK = 2**20


def tar_files(folder: Path) -> list[Path]:
    """The tar files in a folder and below it, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def read_tars(files: Sequence[Path], renamed: Mapping[str, str], begin: int = 0) -> Iterator[RawRow]:
    """Read the samples of tar files in order, from number `begin` on; of those before it only the headers.

    A row's `image` is the tar, as its path from the folder that all are in, and the sample's key. Raises
    `DataSetError` for a file that is no tar, or ends too early.
    """
    folder = os.path.commonpath([file.parent for file in files])
    left = begin
    for file in files:
        with _opened(file) as tar:
            name = os.path.relpath(file, folder)
            for key, members in _samples(tar):
                if left:
                    left -= 1
                    continue
                where = f"{file.name}, sample {key}"
                values, pictures = _read_sample(where, tar, members)
                values["image"] = f"{name}/{key}"
                values |= renamed_values(where, values, renamed)
                yield RawRow(where, values, tuple(pictures) or None)


def _read_sample(
    where: str, tar: tarfile.TarFile, members: Iterable[tarfile.TarInfo]
) -> tuple[dict[str, Any], list[bytes]]:
    """The values and the pictures of a sample."""
    values: dict[str, Any] = {}
    pictures = []
    for member in members:
        if _field(member).lower() == "json":
            values |= _object(where, _contents(tar, member))
        elif PurePosixPath(member.name).suffix.lower() in PICTURE_SUFFIXES:
            pictures.append(_contents(tar, member))
    return values, pictures


def count_samples(files: Sequence[Path]) -> int:
    """Count the samples; of a tar that is not compressed only the headers are read. Raises as `read_tars` does."""
    total = 0
    for file in files:
        with _opened(file) as tar:
            total += sum(1 for _ in _samples(tar))
    return total


def checksum(files: Iterable[Path]) -> str:
    """SHA-256 of the names and sizes of the files, not of their contents, which may be terabytes."""
    listed = "".join(f"{file.name} {file.stat().st_size}\n" for file in files)
    return hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file) as tar:
            yield tar
    except (tarfile.TarError, EOFError) as error:
        raise DataSetError(f"{file}: not readable as a tar file ({(str(error) or 'empty').splitlines()[0]})") from error
    except OSError as error:  # gzip's own errors have no errno
        raise DataSetError(f"{file}: cannot be read ({error.strerror or error})") from error


def _samples(tar: tarfile.TarFile) -> Iterator[tuple[str, Iterator[tarfile.TarInfo]]]:
    return groupby(_members(tar), _key)


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The files that are not hidden; `tar` keeps none of them, because there may be millions."""
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # which has been there as long as the module
        if member.isfile() and not PurePosixPath(member.name).name.startswith("."):
            yield member


def _key(member: tarfile.TarInfo) -> str:
    path = PurePosixPath(member.name)
    return str(path.with_name(path.name.partition(".")[0]))


def _field(member: tarfile.TarInfo) -> str:
    return PurePosixPath(member.name).name.partition(".")[2]


def _contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream: IO[bytes] | None = tar.extractfile(member)
    return b"" if stream is None else stream.read()


def _object(where: str, data: bytes) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataSetError(f"{where}: its json is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise DataSetError(f"{where}: its json is an object with a question, not {type(values).__name__}")
    return values
