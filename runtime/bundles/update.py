"""Adding files to a bundle that exists: whoever opens it finds the old bundle or the new one, never half of each."""

from __future__ import annotations

import glob
import os
import secrets
import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from uhd_edge.engines.building.engine_record import unfinished_files
from uhd_edge.engines.unfinished import (
    is_abandoned,
    locked,
    open_locked,
    remove_abandoned,
    remove_files,
    size_on_disk,
)
from uhd_edge.runtime.bundles.bundle import MANIFEST, Bundle, read_manifest
from uhd_edge.runtime.bundles.change_list import listed_change, unrecorded_files
from uhd_edge.runtime.bundles.manifest import Manifest, record_file
from uhd_edge.runtime.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from uhd_edge.engines.unfinished import Tell

STAGING = ".adding-"  # begins the names of folders that new files are written in
COPY = ".instrumented-"  # and of changed copies of graphs, which lie beside the graphs
RESUMABLE = ".calibrating-"  # and of those that an interrupted run leaves for the next one


def add_files(bundle: Bundle, files: Mapping[str, Path], change: Callable[[Manifest], Manifest]) -> Bundle:
    """Move `files`, by their names within the bundle, into `bundle`, and record them in its manifest.

    No name may be taken (see `free_names`), so that nothing the bundle consists of changes
    before its manifest does. `change` turns the manifest on disk into the new one, where the
    added files are recorded then; files that it leaves out of the record are removed at the
    end. The sources lie on the bundle's disk (see `staging_folder`). Raises `OutputError`
    when the bundle cannot be written; it is then as it was.
    """
    with _writing(bundle.path), locked(bundle.path):
        old = read_manifest(bundle.path)
        manifest = change(old)
        taken = [name for name in files if (bundle.path / name).exists()]
        if taken:
            raise OutputError(f"{bundle.path}: {', '.join(taken)} exists already; run the command again")
        added = {name: record_file(file) for name, file in files.items()}
        complete = manifest.model_copy(update={"files": dict(sorted((manifest.files | added).items()))})
        complete = Manifest.model_validate(complete.model_dump())
        removed = set(old.files) - set(complete.files)
        with listed_change(bundle.path, {*files, *removed}):
            try:
                _move(bundle.path, files)
                _replace_manifest(bundle.path, complete)
            except BaseException:
                _remove(bundle.path, files)
                raise
            _remove(bundle.path, removed)
    return Bundle(bundle.path, complete)


def free_names(bundle: Bundle, names: list[str]) -> dict[str, str]:
    """Give each name the number that makes all of them new: `a/b.onnx`, else `a/b.2.onnx`, and so on."""
    number = 1
    while True:
        numbered = {name: name if number == 1 else _numbered(name, number) for name in names}
        if not any((bundle.path / name).exists() for name in numbered.values()):
            return numbered
        number += 1


@contextmanager
def staging_folder(bundle: Bundle, tell: Tell = lambda _: None) -> Iterator[Path]:
    """Make a hidden folder in the bundle to write new files in; it is gone afterwards.

    What killed runs left in the bundle is removed first; `tell` gets a line about each.
    """
    folder = bundle.path / f"{STAGING}{secrets.token_hex(6)}"
    with ExitStack() as held:
        with _writing(bundle.path), locked(bundle.path):
            remove_left(bundle.path, tell)
            folder.mkdir()
            held.callback(shutil.rmtree, folder, ignore_errors=True)
            held.enter_context(locked(folder))
        with _writing(bundle.path):
            yield folder


def remove_left(bundle: Path, tell: Tell) -> None:
    """Remove what killed runs left in a bundle's folder, which the caller has locked."""
    remove_files(unrecorded_files(bundle, read_manifest(bundle).files), tell)
    remove_abandoned(staged(bundle), tell)


@contextmanager
def resumable_folder(bundle: Bundle, key: str, tell: Tell = lambda _: None) -> Iterator[Path]:
    """Make a hidden folder in the bundle that an interrupted run leaves for the next run with the same `key`.

    `key` names everything that the folder's contents depend on. The folder is gone after a run
    that finished or failed; folders of other keys, and what else killed runs left, are removed
    first. `tell` gets a line about each, and about a run that is continued. Raises
    `OutputError` when the bundle cannot be written or another run is at it.
    """
    folder = bundle.path / f"{RESUMABLE}{key}"
    with ExitStack() as held:
        with _writing(bundle.path), locked(bundle.path):
            remove_left(bundle.path, tell)
            remove_abandoned([path for path in bundle.path.glob(f"{RESUMABLE}*") if path != folder], tell)
            interrupted = folder.is_dir()
            folder.mkdir(exist_ok=True)
            held.enter_context(_locked_alone(folder))
            if interrupted:
                tell(f"going on with the calibration that was interrupted, from {folder}")
        try:
            with _writing(bundle.path):
                yield folder
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked_alone(folder: Path) -> Iterator[None]:
    try:
        descriptor = open_locked(folder, wait=False)
    except BlockingIOError as error:
        raise OutputError(f"{folder.parent}: another calibration is running there; wait for it to end") from error
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def copy_beside(graph: Path) -> Iterator[Path]:
    """Make a hidden file for a changed copy of a graph, whose weights are found from there; it is gone afterwards.

    If the run is killed, the next one that changes the bundle removes the copy. Raises `OSError`.
    """
    copy = graph.with_name(f"{COPY}{secrets.token_hex(6)}.onnx")
    try:
        copy.touch()
        with locked(copy):
            yield copy
    finally:
        copy.unlink(missing_ok=True)


def abandoned_in(bundle: Path) -> list[tuple[Path, int]]:
    """What killed runs left in a bundle's folder or beside it, with its bytes; the bundle is whole without it."""
    left = [path for path in staged(bundle) if is_abandoned(path)] + half_exported(bundle)
    if is_abandoned(bundle):  # whoever changes the bundle holds its folder
        left += unrecorded_files(bundle, read_manifest(bundle).files)
    for folder in sorted(path for path in bundle.glob("engines/*") if path.is_dir()):
        if is_abandoned(folder):  # a build holds its folder, not each file in it
            left += unfinished_files(folder)
    return [(path, size_on_disk(path)) for path in left]


def half_exported(bundle: Path) -> list[Path]:
    """What killed exports left beside the place of a bundle."""
    whole = bundle.absolute()
    return [path for path in sorted(whole.parent.glob(f".{glob.escape(whole.name)}.partial-*")) if is_abandoned(path)]


def staged(bundle: Path) -> list[Path]:
    """Hidden folders and files in a bundle's folder that are not, or not yet, part of it."""
    return sorted([*bundle.glob(f"{STAGING}*"), *bundle.glob(f".{MANIFEST}.*"), *bundle.glob(f"graphs/{COPY}*")])


def interrupted(bundle: Path) -> list[Path]:
    """Folders of calibrations that were interrupted and can be continued."""
    return [path for path in sorted(bundle.glob(f"{RESUMABLE}*")) if is_abandoned(path)]


def _numbered(name: str, number: int) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.{number}{dot}{suffix}"


def _move(folder: Path, files: Mapping[str, Path]) -> None:
    for name, file in files.items():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())  # a power failure must not leave a recorded file empty
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        file.rename(folder / name)


def _remove(folder: Path, names: Mapping[str, Path] | set[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _replace_manifest(folder: Path, manifest: Manifest) -> None:
    temporary = folder / f".{MANIFEST}.{secrets.token_hex(6)}"
    try:
        with temporary.open("x", encoding="utf-8") as stream:
            stream.write(manifest.model_dump_json(indent=2) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(folder / MANIFEST)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be written ({error.strerror or error}); free some space, or copy it"
        ) from error
