"""All files of one model, gathered in its workspace: the small ones first, then, if there is room, the large ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.engines.unfinished import readable_size
from uhd_edge.export.checkpoint.checkpoint import read_config
from uhd_edge.export.disk_space import bytes_of_graphs, estimate_conversion
from uhd_edge.export.language_model.conversion import require_converter
from uhd_edge.export.pulling.choosing import checkpoint_files, find_language_model
from uhd_edge.export.pulling.download import fetch
from uhd_edge.export.pulling.hub import list_repository
from uhd_edge.export.pulling.requirements import require_room
from uhd_edge.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from uhd_edge.export.export import Progress
    from uhd_edge.export.pulling.choosing import Wanted
    from uhd_edge.export.pulling.hub import RemoteFile, Repository
    from uhd_edge.export.pulling.workspace import Workspace
    from uhd_edge.runtime.modes import Precision

LARGE = (".safetensors", ".gguf")


@dataclass(frozen=True)
class Plan:
    """Which files are needed: those of the checkpoint, and the GGUF unless there is none to download."""

    repository: Repository
    checkpoint: tuple[RemoteFile, ...]
    language_model: RemoteFile | None

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """All of them, the small ones first."""
        model = () if self.language_model is None else (self.language_model,)
        return tuple(sorted((*self.checkpoint, *model), key=lambda file: file.name.endswith(LARGE)))

    @property
    def bytes(self) -> int:
        """How large they are together."""
        return sum(file.bytes for file in self.files)

    def place(self, file: RemoteFile, space: Workspace) -> Path:
        """Where a file goes."""
        return (space.language_model if file is self.language_model else space.checkpoint) / file.name

    def here(self, space: Workspace) -> int:
        """How many bytes are there already."""
        places = [path for file in self.files for path in (self.place(file, space), space.part(file))]
        return sum(path.stat().st_size for path in places if path.exists())


def plan_download(wanted: Wanted, *, revision: str | None, llm_type: str | None) -> Plan:
    """Ask the Hub which files there are; without `llm_type`, no language model is looked for.

    Raises `DownloadError`, `CheckpointError`, or `MissingExtraError` when the language model has
    to be converted and what that needs is not installed.
    """
    repository = list_repository(str(wanted.checkpoint), revision)
    checkpoint = checkpoint_files(repository)
    model = None if llm_type is None else find_language_model(wanted.gguf, llm_type)
    if llm_type is not None and model is None:
        require_converter()
    return Plan(repository, tuple(checkpoint), model)


def gather(plan: Plan, space: Workspace, precisions: Sequence[Precision], progress: Progress) -> None:
    """Download what is missing; `progress` runs from 0 to 1.

    The large files come once `config.json` has told that the model can be exported, and how much
    room that takes. Raises `DownloadError`, `CheckpointError` or `OutputError`.
    """
    space.remove_others([path for file in plan.files for path in (plan.place(file, space), space.part(file))])
    before, checked = 0, False
    for file in plan.files:
        if file.name.endswith(LARGE) and not checked:
            _check_room(plan, space, precisions)
            checked = True

        def arrived(count: int, file: RemoteFile = file, before: int = before) -> None:
            stage = f"{file.name}: {readable_size(count)} of {readable_size(file.bytes)}"
            progress(stage, (before + count) / plan.bytes)

        fetch(file, plan.place(file, space), space.part(file), arrived=arrived)
        before += file.bytes


def _check_room(plan: Plan, space: Workspace, precisions: Sequence[Precision]) -> None:
    """Refuse a model that cannot be exported, or for which there is no room; the first leaves nothing behind."""
    try:
        config = read_config(space.checkpoint)
    except CheckpointError as error:
        space.remove()
        raise CheckpointError(f"{plan.repository.name}: {error}") from error
    ready = plan.language_model
    if ready is None:
        written = estimate_conversion(config, precisions)
    else:
        written = bytes_of_graphs(config.tower, precisions) + ready.bytes
    require_room(plan.bytes - plan.here(space) + written)
