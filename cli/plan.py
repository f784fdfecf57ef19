"""`uhd plan`: the ways to look at images, and how long each is predicted to take."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from uhd_edge.cli.options import gpu_layers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.planning import Plan


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--question", default="Describe the image.", show_default=True, help="What will be asked.")
@click.option("--budget-ms", type=float, metavar="MS", help="Mark what would be chosen for a first token in MS.")
@click.option("--bundle", metavar="DIR", help="Bundle made by `uhd export`; without it the built-in uhd-tiny.")
@click.option("--mode", type=click.Choice(["16x", "4x"]), help="List one mode alone.")
@click.option("--max-slices", type=click.IntRange(min=1), metavar="N", help="Most slices an image is cut into.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"]),
    default="auto",
    show_default=True,
    help="What runs the vision graphs.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "fp16", "int8"]),
    default="auto",
    show_default=True,
    help="Precision of the vision graphs.",
)
@click.option("--context", type=click.IntRange(min=1), default=4096, show_default=True, help="Context in tokens.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads; the usable cores without it.")
@click.option(
    "--gpu-layers",
    type=gpu_layers_of,
    default="0",
    show_default=True,
    metavar="N|all",
    help="Layers of the language model to put on a GPU.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plan(
    images: tuple[str, ...],
    *,
    question: str,
    budget_ms: float | None,
    mode: str | None,
    max_slices: int | None,
    as_json: bool,
    **opening: Any,
) -> None:
    """List the ways to look at IMAGEs: mode, slices, tokens, and the predicted time to the first token.

    The first time on a machine it measures how fast the bundle runs there.
    """
    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.planning import choose_plan

    with Assistant(**opening) as assistant:
        assistant.measure(lambda step: click.echo(f"uhd: {step}", err=True))
        plans = assistant.plans(
            list(images),
            question,
            mode=mode,  # type: ignore[typeddict-item]  # click has checked the choices
            max_slices=max_slices,
            budget_ms=budget_ms,
        )
        room = assistant.context
    chosen = choose_plan(plans)
    if as_json:
        click.echo(json.dumps(_as_object(plans, chosen, budget_ms)))
    elif chosen is None:
        click.echo(f"nothing fits into the context of {room} tokens; raise --context, or use fewer images")
    else:
        click.echo("\n".join(_table(plans, chosen, budget_ms)))


def _as_object(plans: Sequence[Plan], chosen: Plan | None, budget_ms: float | None) -> dict[str, Any]:
    return {
        "budget_ms": budget_ms,
        "plans": [plan_as_object(one) for one in plans],
        "chosen": None if chosen is None else plan_as_object(chosen),
    }


def plan_as_object(plan: Plan) -> dict[str, Any]:
    """A plan as it is printed in JSON."""
    return asdict(plan) | {"predicted_ms": round(plan.predicted_ms, 3)}


def _table(plans: Sequence[Plan], chosen: Plan, budget_ms: float | None) -> list[str]:
    lines = [" mode  max slices  views  vision tokens  prompt tokens  first token"]
    lines += [
        f"{'>' if budget_ms is not None and one == chosen else ' '}{one.mode:>4}  {one.max_slices:>10}  {one.views:>5}"
        f"  {one.vision_tokens:>13}  {one.prompt_tokens:>13}  {one.predicted_ms:>8.0f} ms"
        for one in plans
    ]
    if budget_ms is not None:
        lines += ["", budget_line(chosen, budget_ms)]
    return lines


def budget_line(plan: Plan, budget_ms: float) -> str:
    """Say in words whether the plan keeps the budget."""
    if plan.within_budget:
        return f"> keeps within {budget_ms:g} ms and sees the most"
    return f"> {budget_ms:g} ms cannot be kept: this is the quickest, at about {plan.predicted_ms:.0f} ms"
