"""Write a kit's files into a folder or a .tar.gz, which gets its final name only when complete."""

from __future__ import annotations

import gzip
import io
import os
import secrets
import shutil
import tarfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from uhd_edge.engines.errors import EngineBuildError
from uhd_edge.engines.unfinished import locked, remove_abandoned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.engines.unfinished import Tell

ARCHIVE_SUFFIX = ".tar.gz"

# Weights hardly compress; a higher level takes minutes longer and saves nothing.
_GZIP_LEVEL = 1


class KitFiles(Protocol):
    """The destination of a kit's files; names are relative, with forward slashes."""

    def add_file(self, name: str, source: Path) -> None:
        """Copy the file `source`."""
        ...

    def add_text(self, name: str, text: str, *, executable: bool = False) -> None:
        """Write `text`."""
        ...


@contextmanager
def writing_kit(target: Path, tell: Tell = lambda _: None) -> Iterator[KitFiles]:
    """Open `target` for a kit: an archive when its name ends in .tar.gz, else a folder.

    It gets its final name when the block ends without an error. Raises `EngineBuildError` if
    it already exists or cannot be written. Leftovers of killed runs next to it are removed
    first; `tell` gets a line for each.
    """
    if target.exists() or target.is_symlink():
        raise EngineBuildError(f"{target}: already exists; choose another name with --output, or remove it")
    prefix = f".{target.name}.kit-"
    partial = target.with_name(f"{prefix}{secrets.token_hex(6)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned([path for path in target.parent.iterdir() if path.name.startswith(prefix)], tell)
        is_archive = target.name.endswith(ARCHIVE_SUFFIX)
        partial.touch(exist_ok=False) if is_archive else partial.mkdir()
        with locked(partial):
            if is_archive:
                with _compressed(partial) as archive:
                    yield _Archive(archive, target.name.removesuffix(ARCHIVE_SUFFIX))
            else:
                yield _Folder(partial)
            os.sync()
            partial.rename(target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EngineBuildError(
            f"{target}: cannot be written ({reason}); free some space or choose another name"
        ) from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


@contextmanager
def _compressed(file: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive whose bytes depend on its content alone: gzip would note the time and the temporary name."""
    with (
        file.open("wb") as stream,
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=_GZIP_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        yield archive


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add_file(self, name: str, source: Path) -> None:
        shutil.copyfile(source, self._place(name))

    def add_text(self, name: str, text: str, *, executable: bool = False) -> None:
        place = self._place(name)
        place.write_text(text, encoding="utf-8")
        place.chmod(0o755 if executable else 0o644)

    def _place(self, name: str) -> Path:
        place = self._folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


class _Archive:
    """An archive with everything in one folder called `top`, without user names and file times."""

    def __init__(self, archive: tarfile.TarFile, top: str) -> None:
        self._archive, self._top = archive, top

    def add_file(self, name: str, source: Path) -> None:
        with source.open("rb") as stream:
            self._archive.addfile(self._entry(name, source.stat().st_size, 0o644), stream)

    def add_text(self, name: str, text: str, *, executable: bool = False) -> None:
        content = text.encode()
        self._archive.addfile(self._entry(name, len(content), 0o755 if executable else 0o644), io.BytesIO(content))

    def _entry(self, name: str, size: int, mode: int) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(f"{self._top}/{name}")
        entry.size, entry.mode = size, mode
        return entry
