"""Writes a bundle into a temporary folder beside the target, and renames it when it is complete.

An export that fails or is interrupted leaves nothing behind. One that is killed leaves its
temporary folder, never a half-written bundle under the target's name; the next export to the
same target takes the steps that were finished in it, and removes the rest. A bundle is replaced
in one step where the system can swap two names. Elsewhere it takes two renames. If the process is
killed between them, the old bundle is left under a temporary name; the next export first renames it
back to the target.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from uhd_edge.engines.unfinished import is_abandoned, locked, open_locked, remove_abandoned, size_on_disk
from uhd_edge.export.exchange import exchange
from uhd_edge.export.finished_steps import FINISHED, TAKEN, Step, note_step, recall_step, remove_records, take_steps
from uhd_edge.runtime.bundles.bundle import MANIFEST, Bundle
from uhd_edge.runtime.bundles.manifest import FileRecord, Manifest, record_file
from uhd_edge.runtime.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from pydantic import JsonValue

    from uhd_edge.engines.unfinished import Tell

PIECE_BYTES = 1 << 20
REPLACED = "-replaced"  # at the end of the temporary name of a bundle that is being replaced
REASONS = {
    errno.ENOSPC: "no space left on the disk; free some and export again",
    errno.EDQUOT: "the disk quota is used up; free some space and export again",
    errno.EFBIG: "a file is larger than the limit; raise it (ulimit -f) and export again",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: "no permission to write there; choose another folder",
    errno.EPERM: "no permission to write there; choose another folder",
    errno.ENOTDIR: "part of the path is a file, not a folder; choose another folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


class BundleWriter:
    """A bundle that is being written to `target`. Use it in a `with` statement, and call `finish` at the end.

    The bundle's files go into `folder`, temporary files into `scratch`. `inputs` is what every
    step depends on, see `step`. Raises `OutputError` when the target exists and `overwrite` is
    false, or when it cannot be written. An `OSError` inside the `with` block that comes from
    writing below `folder` is raised as `OutputError` too. `tell` is called with one line about
    each folder of a killed export that was removed.
    """

    def __init__(self, target: Path, *, overwrite: bool = False, tell: Tell = lambda _: None) -> None:
        self.target = target.expanduser().absolute()
        self.overwrite = overwrite
        self.inputs: Mapping[str, str] = {}
        self._tell = tell
        self.folder = self.target.with_name(f"{_temporary_prefix(self.target)}{secrets.token_hex(6)}")
        self.scratch = self.folder / "scratch"
        self._records: dict[str, FileRecord] = {}

    def __enter__(self) -> BundleWriter:
        try:
            _put_back(self.target)
            _refuse_target(self.target, overwrite=self.overwrite)
            self._made = [parent for parent in self.target.parents if not parent.exists()]
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir()
            self._lock = open_locked(self.folder)
            self.scratch.mkdir()
            self._take_leftovers()
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise _output_error(self.target, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)  # gone already after `finish`
        os.close(self._lock)
        if error is not None:
            self._remove_made_parents()
        cause = error.__cause__ if isinstance(error, OutputError) else error
        if isinstance(cause, OSError) and _is_ours(cause, self.folder):
            raise _output_error(self.target, cause) from cause

    def step(self, name: str, settings: Mapping[str, str], make: Callable[[], JsonValue]) -> JsonValue:
        """Let `make` write files into `folder`, and return what it returns.

        Where an export that was killed had done the same step, from the same `inputs` and with
        the same `settings`, its files are used instead. Raises what `make` raises.
        """
        inputs = {**self.inputs, **settings}
        step = recall_step(self.folder, name, inputs)
        if step is None:
            before = set(self._files())
            result = make()
            records = {file: _record(self.folder / file) for file in self._files() if file not in before}
            step = Step(inputs=inputs, files=records, result=result)
        else:
            self._tell(f"{name}: {step.bytes / 1e6:.1f} MB are taken over from a run that was killed")
        note_step(self.folder, name, step)
        self._records.update(step.files)
        return step.result

    def taken_bytes(self) -> int:
        """Bytes of files that killed exports left and that may be taken over."""
        return size_on_disk(self.folder / TAKEN)

    def clear_scratch(self) -> None:
        """Remove the files in `scratch`."""
        shutil.rmtree(self.scratch)
        self.scratch.mkdir()

    def _remove_made_parents(self) -> None:
        for parent in self._made:
            with suppress(OSError):
                parent.rmdir()

    def copy(self, source: Path, name: str) -> None:
        """Copy the file `source` into the bundle as `name`, and compute its SHA-256 while copying."""
        digest = hashlib.sha256()
        with source.open("rb") as original, (self.folder / name).open("xb") as copy:
            while piece := original.read(PIECE_BYTES):
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            _to_disk(copy.fileno())
            self._records[name] = FileRecord(bytes=copy.tell(), sha256=digest.hexdigest())

    def finish(self, manifest: Manifest) -> Bundle:
        """Record every file in `manifest`, write the manifest last, and rename the folder to the target."""
        for name in self._files():
            if name not in self._records:
                self._records[name] = _record(self.folder / name)
        complete = manifest.model_copy(update={"files": dict(sorted(self._records.items()))})
        complete = Manifest.model_validate(complete.model_dump())
        with (self.folder / MANIFEST).open("x", encoding="utf-8") as stream:
            stream.write(complete.model_dump_json(indent=2) + "\n")
            stream.flush()
            _to_disk(stream.fileno())
        shutil.rmtree(self.scratch)
        remove_records(self.folder)
        self._take_the_name()
        return Bundle(self.target, complete)

    def _files(self) -> list[str]:
        """The names of the files that belong to the bundle so far."""
        others = {self.scratch.name, FINISHED, TAKEN}
        paths = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in paths if path.parts[0] not in others)

    def _take_leftovers(self) -> None:
        """Take the finished steps out of what killed exports left, the latest first, and remove the rest of it."""
        left = sorted(_leftovers(self.target), key=lambda path: path.stat().st_mtime, reverse=True)
        for folder in left:
            with suppress(OSError), locked(folder, wait=False):  # another export may be quicker
                take_steps(folder, self.folder)
        remove_abandoned(left, self._tell)

    def _take_the_name(self) -> None:
        """Rename the folder to the target. An old bundle is moved away first, and moved back if that fails."""
        _to_disk(self._lock)
        replaced = self.folder.with_name(self.folder.name + REPLACED)
        existed = self.overwrite and self.target.exists()
        if existed and exchange(self.folder, self.target):
            _folder_to_disk(self.target.parent)
            return
        try:
            if existed:
                self.target.rename(replaced)
            self.folder.rename(self.target)
        except BaseException:
            if existed and not self.target.exists():
                replaced.rename(self.target)
            raise
        _folder_to_disk(self.target.parent)
        shutil.rmtree(replaced, ignore_errors=True)


def _refuse_target(target: Path, *, overwrite: bool) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise OutputError(f"{target}: exists and is not a folder; choose another name")
    if not target.exists() or not any(target.iterdir()):
        return
    if not overwrite:
        raise OutputError(f"{target}: exists already; choose another name, or overwrite it with --force")
    if not (target / MANIFEST).is_file():
        raise OutputError(f"{target}: not a bundle, so --force does not overwrite it; choose another name")


def _temporary_prefix(target: Path) -> str:
    return f".{target.name}.partial-"


def _leftovers(target: Path) -> list[Path]:
    """Temporary folders of killed exports to `target`. An export that still runs holds a lock on its folder."""
    if not target.parent.is_dir():
        return []
    names = (folder for folder in target.parent.iterdir() if folder.name.startswith(_temporary_prefix(target)))
    return [folder for folder in names if is_abandoned(folder.with_name(folder.name.removesuffix(REPLACED)))]


def _put_back(target: Path) -> None:
    """Rename an old bundle back to `target` if an export was killed before the new one took the name."""
    for folder in _leftovers(target):
        if folder.name.endswith(REPLACED) and not target.exists():
            folder.rename(target)


def _record(file: Path) -> FileRecord:
    with file.open("rb") as stream:
        _to_disk(stream.fileno())
    return record_file(file)


def _to_disk(descriptor: int) -> None:
    """Wait until the file is on the disk. A power failure could otherwise leave a renamed folder of empty files."""
    os.fsync(descriptor)


def _folder_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _to_disk(descriptor)
    finally:
        os.close(descriptor)


def _is_ours(error: OSError, folder: Path) -> bool:
    """Whether `error` comes from writing below `folder`, and not from reading a checkpoint."""
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS} or any(
        name.startswith(str(folder)) for name in names
    )


def _output_error(target: Path, error: OSError) -> OutputError:
    reason = REASONS.get(error.errno or 0) or f"cannot be written ({error.strerror or error}); choose another folder"
    return OutputError(f"{target}: {reason}")
