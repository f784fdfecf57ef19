"""Write a kit's files into a folder or an archive, which gets its final name only when complete."""

from __future__ import annotations

import gzip
import io
import os
import secrets
import shutil
import stat
import tarfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from uhd_edge.engines.errors import EngineBuildError
from uhd_edge.engines.unfinished import locked, remove_abandoned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from uhd_edge.engines.unfinished import Tell

# Weights hardly compress; a higher level takes minutes longer and saves nothing.
_LEVEL = 1
_UNIX = 3  # what made a zip's entries
# A folder of such a name would be taken for an archive.
_OTHER_ARCHIVES = frozenset(
    {".7z", ".bz2", ".gz", ".lz4", ".lzma", ".rar", ".tar", ".tbz", ".tbz2", ".txz", ".tzst", ".xz", ".zst"}
)


class KitFiles(Protocol):
    """The destination of a kit's files; names are relative, with forward slashes."""

    def add_file(self, name: str, source: Path) -> None:
        """Copy the file `source`."""
        ...

    def add_text(self, name: str, text: str, *, executable: bool = False) -> None:
        """Write `text`."""
        ...


def check_output(target: Path) -> None:
    """Raise `EngineBuildError` where the name `target` is taken, is no name of a kit, or is below a file."""
    if os.path.lexists(target):
        raise EngineBuildError(f"{target}: already exists; choose another name with --output, or remove it")
    if target.suffix.lower() in _OTHER_ARCHIVES and _archive_suffix(target) is None:
        raise EngineBuildError(
            f"{target}: a kit is a folder or an archive in {', '.join(_ARCHIVES)}, and no {target.suffix}; "
            "choose another name with --output"
        )
    above = next(folder for folder in target.parents if os.path.lexists(folder))
    if not above.is_dir():
        raise EngineBuildError(
            f"{target}: cannot be written, because {above} is no folder; choose another name with --output"
        )


@contextmanager
def writing_kit(target: Path, tell: Tell = lambda _: None) -> Iterator[KitFiles]:
    """Open `target` for a kit: an archive when its name ends in .tar.gz, .tgz or .zip, else a folder.

    It gets its final name when the block ends without an error. Raises `EngineBuildError` if
    it already exists or cannot be written. Leftovers of killed runs next to it are removed
    first; `tell` gets a line for each.
    """
    check_output(target)
    prefix = f".{target.name}.kit-"
    partial = target.with_name(f"{prefix}{secrets.token_hex(6)}")
    suffix = _archive_suffix(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned([path for path in target.parent.iterdir() if path.name.startswith(prefix)], tell)
        partial.mkdir() if suffix is None else partial.touch(exist_ok=False)
        with locked(partial):
            if suffix is None:
                yield _Folder(partial)
            else:
                with _ARCHIVES[suffix](partial, target.name[: -len(suffix)]) as archive:
                    yield archive
            os.sync()
            partial.rename(target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EngineBuildError(
            f"{target}: cannot be written ({reason}); free some space or choose another name"
        ) from error
    finally:
        if os.path.isdir(partial):  # noqa: PTH112  # a Path raises for a name that is too long
            shutil.rmtree(partial, ignore_errors=True)
        elif os.path.lexists(partial):
            partial.unlink()


def _archive_suffix(target: Path) -> str | None:
    return next((suffix for suffix in _ARCHIVES if target.name.lower().endswith(suffix)), None)


@contextmanager
def _tar(file: Path, top: str) -> Iterator[KitFiles]:
    """Open an archive whose bytes depend on its content alone: gzip would note the time and the temporary name."""
    with (
        file.open("wb") as stream,
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        yield _Tar(archive, top)


@contextmanager
def _zip(file: Path, top: str) -> Iterator[KitFiles]:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        yield _Zip(archive, top)


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


class _Tar:
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


class _Zip:
    """As `_Tar`; its entries have Unix modes, so that `unzip` makes the script executable."""

    def __init__(self, archive: zipfile.ZipFile, top: str) -> None:
        self._archive, self._top = archive, top

    def add_file(self, name: str, source: Path) -> None:
        size = source.stat().st_size
        with source.open("rb") as stream, self._archive.open(self._entry(name, size, 0o644), "w") as packed:
            shutil.copyfileobj(stream, packed, 2**20)

    def add_text(self, name: str, text: str, *, executable: bool = False) -> None:
        content = text.encode()
        self._archive.writestr(self._entry(name, len(content), 0o755 if executable else 0o644), content)

    def _entry(self, name: str, size: int, mode: int) -> zipfile.ZipInfo:
        entry = zipfile.ZipInfo(f"{self._top}/{name}")  # its time is always 1980
        entry.file_size, entry.compress_type = size, zipfile.ZIP_DEFLATED
        entry.create_system, entry.external_attr = _UNIX, (stat.S_IFREG | mode) << 16
        return entry


_ARCHIVES: Final[Mapping[str, Callable[[Path, str], AbstractContextManager[KitFiles]]]] = MappingProxyType(
    {".tar.gz": _tar, ".tgz": _tar, ".zip": _zip}
)
