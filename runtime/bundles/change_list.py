"""The files that a change of a bundle adds and removes, listed in a hidden file until the change is done.

A change moves new files into the bundle, replaces its manifest and removes old files. A process
that is killed in between leaves files that the manifest does not record. The list says which these
are, so that nothing else in the folder is ever touched.
"""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from uhd_edge.runtime.bundles.manifest import BundlePath

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

LIST = ".changing-"  # begins the names of lists

_NAMES = TypeAdapter(list[BundlePath])


@contextmanager
def listed_change(folder: Path, names: Iterable[str]) -> Iterator[None]:
    """Keep a list of `names` in a bundle's folder, which the caller has locked; raises `OSError`."""
    file = folder / f"{LIST}{secrets.token_hex(6)}"
    try:
        with file.open("xb") as stream:
            stream.write(_NAMES.dump_json(sorted(set(names))))
            stream.flush()
            os.fsync(stream.fileno())
        yield
    finally:
        file.unlink(missing_ok=True)


def unrecorded_files(folder: Path, recorded: Collection[str]) -> list[Path]:
    """List what changes that were killed left in a bundle's folder, the lists last; `recorded` belongs to the bundle.

    Whoever removes it, or says that nobody owns it, makes sure that no change is going on.
    """
    lists = sorted(folder.glob(f"{LIST}*"))
    names = {name for file in lists for name in _names_in(file)} - set(recorded)
    inside = [folder / name for name in sorted(names) if _is_inside(folder / name, folder)]
    return [*inside, *lists]


def _names_in(file: Path) -> list[str]:
    """Read a list; one that is not whole was killed before anything was moved."""
    try:
        return _NAMES.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return []


def _is_inside(file: Path, folder: Path) -> bool:
    """Whether it is a file of the folder; one that a link leads to is somebody else's."""
    return file.is_file() and file.resolve().is_relative_to(folder.resolve())
