"""A model from the Hub, or from a folder, to a bundle that is kept under a name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from uhd_edge.engines.unfinished import readable_size, size_on_disk
from uhd_edge.export.export import EXPORTED_PRECISIONS, export_bundle
from uhd_edge.export.language_model.quantize import file_type
from uhd_edge.export.pulling.choosing import wanted_model
from uhd_edge.export.pulling.gathering import gather, plan_download
from uhd_edge.export.pulling.requirements import require_file
from uhd_edge.export.pulling.workspace import workspace
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.kept_models import finish_removals
from uhd_edge.runtime.bundles.manifest import Origin
from uhd_edge.runtime.bundles.model_names import BUILT_IN, models_folder, require_name
from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.engines.unfinished import Tell
    from uhd_edge.export.export import Progress
    from uhd_edge.export.pulling.choosing import Wanted
    from uhd_edge.export.pulling.gathering import Plan
    from uhd_edge.export.pulling.workspace import Workspace
    from uhd_edge.runtime.modes import Mode, Precision

# Where on the way from 0 to 1 the download ends and the export begins.
DOWNLOADED = 0.7


class _Export(Protocol):
    """An export of a checkpoint's folder with its target and its settings chosen."""

    def __call__(self, folder: Path, llm: Path | None, origin: Origin, progress: Progress) -> Bundle: ...


def pull_model(
    model: str,
    *,
    name: str | None = None,
    llm: str | Path | None = None,
    llm_type: str = "q4_k_m",
    revision: str | None = None,
    modes: Sequence[Mode] | None = None,
    precisions: Sequence[Precision] = EXPORTED_PRECISIONS,
    keep_checkpoint: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda _stage, _fraction: None,
    tell: Tell = lambda _line: None,
) -> Bundle:
    """Bring `model` to this machine and keep it as a bundle under `name`.

    `model` is a known name, a repository on the Hub, or the folder of a checkpoint. Its language
    model is the GGUF file `llm`, or else a ready one of `llm_type` from the Hub, or else the
    checkpoint's own, converted. `revision` is a branch, tag or commit of the checkpoint's
    repository. A model of this name that is here already is returned as it is, unless
    `overwrite` is set. `tell` gets a line about each thing worth knowing.

    What an interrupted call has downloaded is taken up by the next one. Raises `DownloadError`,
    `CheckpointError`, `ModelError`, `ExportError`, `MissingExtraError`, `OptionError` or
    `OutputError`, each in one line.
    """
    wanted = wanted_model(model)
    kept = _kept_name(name, wanted)
    _check_revision(revision, wanted)
    target = models_folder() / kept
    if target.exists() and not overwrite:
        bundle = Bundle.open(target)
        tell(f"{kept} is here already; --force pulls it anew")
        return bundle
    ready = None if llm is None else require_file(Path(llm).expanduser())
    file_type(llm_type)  # a wrong one is said before the Hub is asked
    finish_removals()

    def export(folder: Path, llm: Path | None, origin: Origin, progress: Progress) -> Bundle:
        return export_bundle(
            folder,
            target,
            llm=llm,
            llm_type=llm_type,
            modes=modes,
            precisions=precisions,
            name=kept,
            progress=progress,
            overwrite=overwrite,
            tell=tell,
            origin=origin,
        )

    if wanted.folder is not None:
        origin = Origin(checkpoint=str(wanted.folder.resolve()), language_model=ready and str(ready.resolve()))
        return export(wanted.folder, ready, origin, progress)
    progress("asking the Hub", 0.0)
    plan = plan_download(wanted, revision=revision, llm_type=llm_type if ready is None else None)
    with workspace(kept) as space:
        tell(_described(plan, space))
        gather(plan, space, precisions, lambda stage, fraction: progress(stage, DOWNLOADED * fraction))
        bundle = _exported(plan, space, ready, export, progress)
        _end(space, kept, keep_checkpoint=keep_checkpoint, tell=tell)
    return bundle


def _kept_name(name: str | None, wanted: Wanted) -> str:
    try:
        kept = require_name(wanted.name if name is None else name)
    except OptionError as error:
        raise OptionError(f"{error}; choose one with --name") from error
    if kept == BUILT_IN:
        raise OptionError(f"{BUILT_IN} is the built-in model; choose another name with --name")
    return kept


def _check_revision(revision: str | None, wanted: Wanted) -> None:
    if revision is not None and not revision.strip():  # such as a variable of the shell that is not set
        raise OptionError("--revision is empty; name a branch, tag or commit, or leave it out for main")
    if revision is not None and wanted.folder is not None:
        raise OptionError(f"--revision is for repositories on the Hub, and {wanted.folder} is a folder; leave it out")


def _described(plan: Plan, space: Workspace) -> str:
    here = plan.here(space)
    begun = f", of which {readable_size(here)} are here" if here else ""
    sources = [f"{plan.repository.name} at {plan.repository.revision[:12]}"]
    if plan.language_model is not None:
        sources.append(f"{plan.language_model.name} of {plan.language_model.repository}")
    return f"{readable_size(plan.bytes)} to download{begun}: {', '.join(sources)}"


def _exported(plan: Plan, space: Workspace, ready: Path | None, export: _Export, progress: Progress) -> Bundle:
    model = plan.language_model
    llm = ready if model is None else plan.place(model, space)
    origin = Origin(
        checkpoint=plan.repository.name,
        checkpoint_revision=plan.repository.revision,
        language_model=(ready and str(ready.resolve())) if model is None else f"{model.repository}/{model.name}",
        language_model_revision=model and model.revision,
    )
    return export(
        space.checkpoint, llm, origin, lambda stage, part: progress(stage, DOWNLOADED + (1 - DOWNLOADED) * part)
    )


def _end(space: Workspace, name: str, *, keep_checkpoint: bool, tell: Tell) -> None:
    """Remove what was downloaded: the bundle does without it."""
    size = readable_size(size_on_disk(space.folder))
    if keep_checkpoint:
        tell(f"the downloaded files, {size}, are kept in {space.folder}; `uhd remove {name}` removes them too")
        return
    space.remove()
    tell(f"the downloaded files are removed, which frees {size}; --keep-checkpoint keeps them")
