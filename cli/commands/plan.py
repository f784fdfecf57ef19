"""`uhd plan`: modes and numbers of slices for images, and how long each would take; or what fits into a memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uhd_edge.cli.images import check_images, split_mode, with_own_mode
from uhd_edge.cli.memory_plan import MEMORY_TARGETS, print_memory_plan
from uhd_edge.cli.options import (
    budget_share_option,
    measure,
    open_assistant,
    opening_options,
)
from uhd_edge.cli.printing import too_noisy
from uhd_edge.cli.unused import refuse_beside
from uhd_edge.runtime.checking.counted import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.answer import Plan
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.options import AskOptions

_NOT_FOR_MEMORY = ("question", "budget_ms", "budget_share", "picture", "engine", "threads", "gpu_layers")


@click.command()
@click.argument("images", nargs=-1, metavar="IMAGE... | --memory SIZE [BUNDLE]")
@click.option("--question", default="Describe the image.", show_default=True, help="Question that will be asked.")
@click.option(
    "--budget-ms", type=float, metavar="MS", help="Mark what would be chosen for a first token within MS milliseconds."
)
@budget_share_option
@opening_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option(
    "--picture",
    metavar="FILE.png",
    help="Draw slices and tokens over the image: those of the plan within --budget-ms, otherwise those of `uhd ask`.",
)
@click.option(
    "--memory", metavar="SIZE", help="List settings that fit into this memory, such as 8GB, instead; opens nothing."
)
@click.option(
    "--target", metavar="T", help=f"With --memory: {', '.join(MEMORY_TARGETS)}.  [default: {MEMORY_TARGETS[0]}]"
)
def plan(
    images: tuple[str, ...],
    *,
    memory: str | None,
    target: str | None,
    question: str,
    budget_ms: float | None,
    budget_share: float,
    as_json: bool,
    picture: str | None,
    **given: Any,
) -> None:
    """List modes and numbers of slices for IMAGEs, with tokens and the predicted time to the first token.

    IMAGE@4x and IMAGE@16x give an image a mode of its own, which it keeps in every line.
    The first run on a machine measures how fast the bundle is there. With --memory, list settings of
    BUNDLE that fit into a memory, with what building and running would take; --mode, --precision,
    --context and --max-slices then hold in every line. The exit code is 1 where nothing fits.
    """
    if memory is not None:
        refuse_beside("--memory", _NOT_FOR_MEMORY)
        print_memory_plan(images, memory, MEMORY_TARGETS[0] if target is None else target, given, as_json=as_json)
        return
    if target is not None:
        raise click.UsageError("--target is for --memory, such as --memory 8GB --target orin")
    if not images:
        raise click.UsageError("Missing argument 'IMAGE...'.")
    from uhd_edge.runtime.budget.choosing import choose_plan
    from uhd_edge.runtime.errors import ContextError
    from uhd_edge.runtime.options import check_options

    check_images(images)
    files = [split_mode(image)[0] for image in images]
    if picture is not None:
        _require_drawable(files, Path(picture))
    options: AskOptions = {
        "mode": given["mode"],
        "max_slices": given["max_slices"],
        "budget_ms": budget_ms,
        "budget_share": budget_share,
    }
    check_options(options)
    with open_assistant(given, images) as assistant:
        measure(assistant, images)
        plans = assistant.plans([with_own_mode(image) for image in images], question, **options)
        room, manifest = assistant.context, assistant.bundle.manifest
    chosen = choose_plan(plans)
    if as_json:
        click.echo(json.dumps(_as_object(plans, chosen, budget_ms, budget_share)))
    elif chosen is not None:
        own = {split_mode(image)[1] for image in images}
        shown = "own" if None not in own and len(own) > 1 else None
        click.echo("\n".join(_table(plans, chosen, budget_ms, budget_share, mode=shown)))
    if picture is not None:
        mode, max_slices = given["mode"] or manifest.default_mode, given["max_slices"]
        if budget_ms is not None and chosen is not None:
            mode, max_slices = chosen.mode, chosen.max_slices
        _draw(images, Path(picture), manifest, mode, max_slices)
    if chosen is None:
        tokens = counted(room, "token")
        raise ContextError(f"nothing fits into the context of {tokens}; raise --context, or use fewer images")


def _require_drawable(images: Sequence[str], file: Path) -> None:
    """Find out now that a picture cannot be drawn, not after the machine was measured."""
    from uhd_edge.cli.showing.pictures import require_format
    from uhd_edge.runtime.errors import OptionError, OutputError
    from uhd_edge.runtime.images.video import is_video

    require_format(file)
    if video := next((image for image in images if is_video(image)), None):
        raise OptionError(f"{video}: --picture draws images; of a video every frame is one view")
    if file.is_dir() or not file.parent.is_dir():
        raise OutputError(
            f"{file}: cannot be written, because it is a folder or {file.parent} is not one; choose another name"
        )
    inputs = [Path(image) for image in images if Path(image).exists()]
    for target in _targets(images, file):
        if target.exists() and any(target.samefile(image) for image in inputs):
            raise OutputError(f"{target}: this is one of the images, which would be lost; choose another name")


def _targets(images: Sequence[str], file: Path) -> list[Path]:
    """The file for each image: `file`, numbered where there are several."""
    if len(images) == 1:
        return [file]
    return [file.with_name(f"{file.stem}-{number}{file.suffix}") for number in range(1, len(images) + 1)]


def _draw(images: Sequence[str], file: Path, manifest: Manifest, mode: Mode, max_slices: int | None) -> None:
    """Write the picture of each image, and name the files where there are several."""
    from uhd_edge.cli.showing.pictures import draw_plan, write_picture

    for argument, target in zip(images, _targets(images, file), strict=True):
        image, own = split_mode(argument)
        write_picture(draw_plan(image, manifest, mode=own or mode, max_slices=max_slices), target)
        if len(images) > 1:
            click.echo(f"uhd: {image} is drawn in {target}", err=True)


def _as_object(plans: Sequence[Plan], chosen: Plan | None, budget_ms: float | None, share: float) -> dict[str, Any]:
    return {
        "budget_ms": budget_ms,
        "budget_share": share,
        "plans": [one.to_dict() for one in plans],
        "chosen": None if chosen is None else chosen.to_dict(),
    }


def _table(
    plans: Sequence[Plan], chosen: Plan, budget_ms: float | None, share: float, *, mode: str | None
) -> list[str]:
    """The lines of the table; `mode` is shown in place of the plans' where none of them counts."""
    upper = f"{100 * share:g} of 100 within"
    lines = [f" mode  max slices  views  vision tokens  prompt tokens  first token  {upper}"]
    lines += [
        f"{'>' if budget_ms is not None and one == chosen else ' '}{mode or one.mode:>4}"
        f"  {one.max_slices:>10}  {one.views:>5}  {one.vision_tokens:>13}"
        f"  {one.prompt_tokens:>13}  {one.predicted_ms:>8.0f} ms  {one.upper_ms:>{len(upper) - 3}.0f} ms"
        for one in plans
    ]
    if budget_ms is not None:
        lines += ["", budget_line(chosen, budget_ms, share)]
    return lines


def budget_line(plan: Plan, budget_ms: float, share: float) -> str:
    """Say whether the plan meets the budget."""
    if plan.within_budget:
        return f"> the most detail within {budget_ms:g} ms"
    if plan.too_noisy:
        return f"> the fastest; {too_noisy(plan, budget_ms, share)}"
    return f"> {budget_ms:g} ms cannot be met: this is the fastest, at about {plan.predicted_ms:.0f} ms"
