"""The folder in which a model's files are gathered, held by one process at a time."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.engines.unfinished import locked
from uhd_edge.runtime.bundles.kept_models import FETCHED
from uhd_edge.runtime.bundles.model_names import FOLDER_VARIABLE, models_folder
from uhd_edge.runtime.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from uhd_edge.export.pulling.hub import RemoteFile

REASONS = {
    errno.ENOSPC: "no space left on the disk; free some and run the same command again, it goes on where it stopped",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EFBIG: "a file is larger than the limit; raise it (ulimit -f) and run the same command again",
}


@dataclass(frozen=True)
class Workspace:
    """Folders for the files of one model: whole ones of the checkpoint and the language model, and parts."""

    folder: Path

    @property
    def checkpoint(self) -> Path:
        """The checkpoint's files."""
        return self.folder / "checkpoint"

    @property
    def language_model(self) -> Path:
        """The GGUF."""
        return self.folder / "language-model"

    @property
    def parts(self) -> Path:
        """Files that have not arrived whole, named by their checksums."""
        return self.folder / "parts"

    def part(self, file: RemoteFile) -> Path:
        """Where a file is gathered."""
        return self.parts / (file.sha256 or file.blob_id)

    def remove_others(self, wanted: Iterable[Path]) -> None:
        """Remove the files that are not `wanted`, such as those of another commit."""
        kept = set(wanted)
        for place in (self.checkpoint, self.language_model, self.parts):
            for file in place.iterdir():
                if file not in kept:
                    file.unlink()

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder)


@contextmanager
def workspace(name: str) -> Iterator[Workspace]:
    """Hold the workspace of the model `name`, with what earlier pulls have left in it.

    Raises `OutputError` when another process holds it, and instead of an `OSError` about the
    models' folder.
    """
    space = Workspace(models_folder() / FETCHED / name)
    with written_to(models_folder()):
        for place in (space.checkpoint, space.language_model, space.parts):
            place.mkdir(parents=True, exist_ok=True)
        try:
            with locked(space.folder, wait=False):
                yield space
        except BlockingIOError as error:
            raise OutputError(f"{name} is being pulled by another process; wait for it") from error


@contextmanager
def written_to(folder: Path) -> Iterator[None]:
    """Turn an `OSError` into an `OutputError` about `folder`."""
    try:
        yield
    except OSError as error:
        reason = REASONS.get(error.errno or 0) or (
            f"cannot be written ({os.strerror(error.errno) if error.errno else error}); "
            f"set {FOLDER_VARIABLE} to another folder"
        )
        raise OutputError(f"{error.filename or folder}: {reason}") from error
