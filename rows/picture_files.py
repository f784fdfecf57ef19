"""Pictures as files: those of a folder, of a pattern, or of a list of paths. Each is a row without a question."""

from __future__ import annotations

import glob
import hashlib
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.rows.errors import DataSetError
from uhd_edge.rows.row import RawRow
from uhd_edge.runtime.images.loading import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class PictureFiles:
    """Names of files, each the path from `folder`, in the order in which they are read."""

    folder: Path
    names: tuple[str, ...]

    def read(self, begin: int = 0) -> Iterator[RawRow]:
        """Yield a row for each file, from number `begin` on; none is opened."""
        for name in islice(self.names, begin, None):
            path = self.folder / name
            yield RawRow(str(path), {"image": name}, (path,))

    def sha256(self) -> str:
        """SHA-256 of the names and sizes, not of the contents, which may be terabytes; a missing file has none."""
        digest = hashlib.sha256()
        for name in self.names:
            digest.update(f"{name} {_size(self.folder / name)}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def pictures_in(folder: Path) -> PictureFiles:
    """The pictures in a folder and below it, by their suffixes, in the order of their paths; hidden ones are left out.

    Raises `DataSetError` where there are none.
    """
    names = sorted(os.path.relpath(path, folder) for path in _walk(folder) if _suffix(path) in PICTURE_SUFFIXES)
    if not names:
        raise DataSetError(f"{folder}: no pictures ({', '.join(sorted(PICTURE_SUFFIXES))}), parquet or tar files in it")
    return PictureFiles(folder, tuple(names))


def pictures_like(pattern: str) -> PictureFiles:
    """The files that fit a pattern such as `photos/**/*.jpg`, in order; raises `DataSetError` where none does."""
    names = tuple(sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name)))  # noqa: PTH113, PTH207  # Path.glob takes no absolute pattern
    if not names:
        raise DataSetError(f"{pattern}: no file fits this pattern")
    return PictureFiles(Path(), names)


def listed_pictures(file: Path) -> PictureFiles:
    """The paths in a file, one a line, relative to its folder; raises `DataSetError` for a file without any."""
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataSetError(f"{file}: cannot be read ({error.strerror})") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise DataSetError(f"{file}: no paths in it; a list of pictures has one a line")
    return PictureFiles(file.parent, names)


def has_suffix(folder: Path, suffixes: Sequence[str]) -> bool:
    """Whether a file below a folder has one of these suffixes; the first is enough."""
    return any(_suffix(path) in suffixes for path in _walk(folder))


def _walk(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (f"{parent}/{name}" for name in files if not name.startswith("."))


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122  # a million of them


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
