"""`uhd list`: the models on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from uhd_edge.engines.unfinished import readable_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.kept_models import FetchedFiles, KeptModel

HEADINGS = ("name", "size", "graphs", "language model", "from")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def list(*, as_json: bool) -> None:  # noqa: A001 - the command's name
    """List the models on this machine, which `--bundle NAME` uses, with their sizes."""
    from uhd_edge.runtime.bundles.kept_models import list_fetched, list_models
    from uhd_edge.runtime.bundles.known_models import KNOWN_MODELS
    from uhd_edge.runtime.bundles.model_names import models_folder

    models, fetched = list_models(), list_fetched()
    here = {model.name for model in models}
    more = [name for name in KNOWN_MODELS if name not in here]
    if as_json:
        found = {
            "folder": str(models_folder()),
            "models": [_as_object(model) for model in models],
            "downloads": [{"name": files.name, "path": str(files.path), "bytes": files.bytes} for files in fetched],
            "to_pull": more,
        }
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    usable = [_row(model, model.bundle) for model in models if model.bundle is not None]
    click.echo("\n".join(_table([HEADINGS, *usable])))
    for line in _notes(models, fetched, more):
        click.echo(f"uhd: {line}", err=True)


def _as_object(model: KeptModel) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": model.name, "path": str(model.path), "bytes": model.bytes}
    if model.bundle is None:
        return shown | {"problem": model.problem}
    manifest = model.bundle.manifest
    graphs = {mode: [*by_kind] for mode, by_kind in manifest.graphs.items()}
    origin = None if manifest.origin is None else manifest.origin.model_dump()
    return shown | {"graphs": graphs, "llm": manifest.llm.type, "origin": origin}


def _row(model: KeptModel, bundle: Bundle) -> tuple[str, ...]:
    llm, origin = bundle.manifest.llm, bundle.manifest.origin
    source = "" if origin is None else origin.checkpoint
    if origin is not None and origin.checkpoint_revision is not None:
        source += f" at {origin.checkpoint_revision[:12]}"
    size = readable_size(model.bytes)
    return (model.name, size, bundle.describe_graphs(), f"{llm.architecture} {llm.type}", source)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _notes(models: Sequence[KeptModel], fetched: Sequence[FetchedFiles], more: Sequence[str]) -> Iterator[str]:
    """Say what is not in the table."""
    for model in models:
        if model.bundle is None:
            yield f"{model.name} cannot be used: {model.problem}; `uhd remove {model.name}` removes it"
    here = {model.name for model in models}
    for files in fetched:
        size, removal = readable_size(files.bytes), f"`uhd remove {files.name}`"
        if files.name in here:
            yield f"{files.name}: {size} of downloaded files are kept, {removal} removes them too"
        else:
            yield f"{files.name}: {size} are downloaded; `uhd pull` goes on from there, {removal} removes them"
    if more:
        yield f"more with `uhd pull`: {', '.join(more)}"
