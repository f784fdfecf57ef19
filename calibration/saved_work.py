"""What an interrupted calibration has finished, so that the next run goes on from there."""

from __future__ import annotations

import json
import secrets
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]


class SavedWork:
    """Finished parts in a folder, each by its name: arrays, or values that JSON can hold.

    A part is written whole or not at all. One that cannot be read counts as missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def arrays(self, name: str) -> dict[str, NDArray[Any]] | None:
        """Return the arrays that were kept under `name`, or None."""
        try:
            with np.load(self._file(name, "npz"), allow_pickle=False) as stored:
                return {key: stored[key] for key in stored.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def keep_arrays(self, name: str, arrays: Arrays) -> None:
        """Keep arrays under `name`; raises `OSError`."""
        unfinished = self._folder / f"{secrets.token_hex(6)}.npz"
        try:
            np.savez(unfinished, **dict(arrays))  # type: ignore[arg-type]  # an array could have the name of an option
            unfinished.replace(self._file(name, "npz"))
        finally:
            unfinished.unlink(missing_ok=True)

    def value(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the value that was kept under `name`; without one, keep what `make` returns. Raises `OSError`."""
        file = self._file(name, "json")
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            value = make()
        unfinished = self._folder / f"{secrets.token_hex(6)}.json"
        try:
            unfinished.write_text(json.dumps(value), encoding="utf-8")
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
        return value

    def has(self, name: str) -> bool:
        """Whether a value was kept under `name`."""
        return self._file(name, "json").exists()

    def _file(self, name: str, suffix: str) -> Path:
        return self._folder / f"{name.replace(' ', '-')}.{suffix}"
