"""What must be there before gigabytes are downloaded: a file, and room on the disk."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from uhd_edge.engines.unfinished import readable_size
from uhd_edge.runtime.bundles.model_names import FOLDER_VARIABLE, models_folder
from uhd_edge.runtime.errors import ModelError, OutputError

if TYPE_CHECKING:
    from pathlib import Path


def require_file(llm: Path) -> Path:
    """Return the path of a language model; raises `ModelError` when there is no such file."""
    if not llm.is_file():
        raise ModelError(f"{llm}: no such file; --llm takes a language model as one GGUF file")
    return llm


def require_room(needed: int) -> None:
    """Raise `OutputError` unless the models' folder has room for `needed` bytes more."""
    folder = models_folder()
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{folder}: the rest of the download and the export need about {readable_size(needed)}, "
            f"but only {readable_size(free)} are free; free some space, or set {FOLDER_VARIABLE} to a folder on "
            "another disk"
        )
