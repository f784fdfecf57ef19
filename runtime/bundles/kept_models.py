"""The models that are kept on this machine: listing them, and removing one."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.engines.unfinished import is_abandoned, locked, remove_abandoned, size_on_disk
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.model_names import BUILT_IN, builtin_bundle, kept_names, models_folder, require_name
from uhd_edge.runtime.bundles.update import half_exported
from uhd_edge.runtime.errors import BundleError, OutputError

if TYPE_CHECKING:
    from pathlib import Path

FETCHED = ".fetched"  # has a folder for each model whose checkpoint is there, in part or whole
REMOVING = ".removing-"  # begins the names of what is being removed


@dataclass(frozen=True)
class KeptModel:
    """A model on this machine. `problem` says why its bundle cannot be opened; then `bundle` is None."""

    name: str
    path: Path
    bytes: int
    bundle: Bundle | None
    problem: str = ""


@dataclass(frozen=True)
class FetchedFiles:
    """Files that were fetched for the model `name`, and how many bytes they take."""

    name: str
    path: Path
    bytes: int


def list_models() -> list[KeptModel]:
    """The built-in model, then those that `uhd pull` has brought, by name. Raises `BundleError`."""
    try:
        return [
            _opened(BUILT_IN, builtin_bundle()),
            *(_opened(name, models_folder() / name) for name in kept_names()),
        ]
    except OSError as error:
        raise _unreadable(error) from error


def list_fetched() -> list[FetchedFiles]:
    """Checkpoints of pulls that are not finished, or that were kept. Raises `BundleError`."""
    folder = models_folder() / FETCHED
    try:
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        return [FetchedFiles(entry.name, entry, size_on_disk(entry)) for entry in found]
    except OSError as error:
        raise _unreadable(error) from error


def remove_model(name: str) -> int:
    """Remove the model `name` and what was fetched for it; returns how many bytes that frees.

    It leaves its name first, so that a removal that is killed leaves no half of a model; the
    next one ends it. Raises `OptionError` for what cannot be a name, `BundleError` when there is
    no such model, `OutputError` when it is being pulled or cannot be removed.
    """
    name = require_name(name)
    if name == BUILT_IN:
        raise BundleError(f"{BUILT_IN} is part of uhd-edge and cannot be removed")
    folder, fetched = models_folder() / name, models_folder() / FETCHED / name
    found = [*(path for path in (folder, fetched) if path.is_dir()), *half_exported(folder)]
    if not found:
        raise BundleError(f"{name}: no such model on this machine; there are {', '.join((BUILT_IN, *kept_names()))}")
    if fetched.is_dir() and not is_abandoned(fetched):
        raise OutputError(f"{name} is being pulled by another process; stop it first")
    freed = sum(size_on_disk(path) for path in found)
    try:
        for path in found:
            _remove(path)
    except OSError as error:
        raise OutputError(f"{error.filename or folder}: cannot be removed ({error.strerror})") from error
    return freed


def finish_removals() -> None:
    """Remove what killed removals have left."""
    remove_abandoned(models_folder().glob(f"{REMOVING}*"))


def _remove(path: Path) -> None:
    away = models_folder() / f"{REMOVING}{secrets.token_hex(6)}"
    with locked(path):
        path.rename(away)
        shutil.rmtree(away)
    finish_removals()


def _opened(name: str, path: Path) -> KeptModel:
    try:
        return KeptModel(name, path, size_on_disk(path), Bundle.open(path))
    except BundleError as error:
        return KeptModel(name, path, size_on_disk(path), None, str(error))


def _unreadable(error: OSError) -> BundleError:
    return BundleError(f"{error.filename or models_folder()}: cannot be read ({error.strerror})")
