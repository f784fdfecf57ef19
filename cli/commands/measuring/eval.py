"""`uhd eval`: right answers to the questions of a data set, in one or several settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from uhd_edge.cli.bundle import bundle_option
from uhd_edge.cli.options import parse_gpu_layers
from uhd_edge.cli.remaining import follow
from uhd_edge.cli.rows import bundle_and_rows, column_option, parse_columns, split_option
from uhd_edge.cli.unused import say_unused_think_tokens

if TYPE_CHECKING:
    from uhd_edge.evaluation.asking.run import Order, Run

REPORT = "report.html"


@click.command()
@click.argument("arguments", nargs=-1, metavar="[BUNDLE] DATA")
@bundle_option
@click.option("--modes", metavar="M,..", help="16x, 4x or both.  [default: the bundle's own]")
@click.option("--max-slices", metavar="N,..", help="Most slices an image is cut into.  [default: the bundle's]")
@click.option("--precisions", default="auto", show_default=True, metavar="P,..", help="Any of auto, fp32, fp16, int8.")
@click.option(
    "--engines",
    default="auto",
    show_default=True,
    metavar="E,..",
    help="Any of auto, onnxruntime, openvino, tensorrt, tensorrt-rtx.",
)
@click.option("--metric", metavar="NAME", help="How answers are scored, where the data does not say it.")
@column_option
@split_option
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Ask the first N questions only.")
@click.option("--suffix", default="", metavar="TEXT", help="Written behind every question, on a line of its own.")
@click.option("--max-tokens", default=256, show_default=True, metavar="N", help="Most tokens of an answer.")
@click.option("--repetition-penalty", default=1.0, show_default=True, help="Above 1 makes repetition less likely.")
@click.option(
    "--context", default=4096, show_default=True, metavar="N", help="Most tokens of prompt and answer together."
)
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads.  [default: the usable cores]")
@click.option(
    "--gpu-layers",
    type=parse_gpu_layers,
    default="auto",
    show_default=True,
    metavar="auto|N|all",
    help="Layers of the language model to put on a GPU.",
)
@click.option("--think/--no-think", default=None, help="Let the model think first, or not.")
@click.option("--think-tokens", default=1024, show_default=True, metavar="N", help="Most tokens of its thoughts.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of answers and report.  [default: eval-DATA]",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object with every answer and score.")
def eval(  # noqa: A001  # the function of a command has its name
    arguments: tuple[str, ...],
    *,
    bundle: str | None,
    modes: str | None,
    max_slices: str | None,
    precisions: str,
    engines: str,
    metric: str | None,
    columns: tuple[str, ...],
    split: str | None,
    limit: int | None,
    suffix: str,
    max_tokens: int,
    repetition_penalty: float,
    context: int,
    threads: int | None,
    gpu_layers: int | Literal["auto"],
    think: bool | None,
    think_tokens: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Ask the questions of DATA with BUNDLE, or without it with the built-in uhd-tiny, and count right answers.

    DATA is a file of JSON lines, a TSV of VLMEvalKit, or a folder of parquet files. Every combination of modes,
    slices, precisions and engines is asked. Answers are kept in a folder: a run that was stopped goes on where it was.
    """
    from uhd_edge.evaluation.asking.run import Order, Run
    from uhd_edge.evaluation.asking.settings import Asking, all_settings
    from uhd_edge.evaluation.data.data_set import Reading, open_data_set
    from uhd_edge.runtime.bundles.bundle import Bundle

    named, data = bundle_and_rows(arguments, bundle, "DATA")
    path = Path(data)
    asking = Asking(max_tokens, repetition_penalty, suffix, context, threads, gpu_layers, think, think_tokens)
    numbers = _numbers(max_slices)
    all_settings(["16x"] if modes is None else _names(modes), numbers, _names(precisions), _names(engines))
    opened = Bundle.open(named)
    say_unused_think_tokens(opened.manifest.prompt, think)
    chosen = [opened.manifest.default_mode] if modes is None else _names(modes)
    order = Order(
        bundle=opened,
        data=open_data_set(path, Reading(metric, parse_columns(columns), split)),
        settings=tuple(all_settings(chosen, numbers, _names(precisions), _names(engines))),
        asking=asking,
        folder=Path(f"eval-{path.resolve().stem}") if output is None else output,
        limit=limit,
    )
    with Run(order) as run:
        _ask(run, order)
        for note in run.notes:
            click.echo(f"uhd: {note}", err=True)
    _show(order, as_json=as_json)
    click.get_current_context().obj.all_closed = True


def _ask(run: Run, order: Order) -> None:
    total = run.count * len(order.settings)
    if run.left < total:
        click.echo(f"uhd: {total - run.left} of {total} answers are in {order.folder} already", err=True)
    if not run.left:
        return
    try:
        follow(run.ask(), run.left, order.data.name)
    except KeyboardInterrupt:
        click.echo(f"\nuhd: {run.left} of {total} answers are missing; the same command goes on from there", err=True)
        raise


def _show(order: Order, *, as_json: bool) -> None:
    from uhd_edge.evaluation.report.html import write_report
    from uhd_edge.evaluation.report.summary import summarize
    from uhd_edge.evaluation.report.table import table

    summary = summarize(order)
    click.echo(json.dumps(summary.as_object(), ensure_ascii=False) if as_json else table(summary))
    write_report(summary, order.data, order.folder / REPORT)
    click.echo(f"uhd: pictures, questions and answers are in {order.folder / REPORT}", err=True)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _numbers(text: str | None) -> list[int | None]:
    if text is None:
        return [None]
    if not all(name.isdecimal() for name in _names(text)):
        raise click.UsageError(f"--max-slices {text}: give whole numbers, separated by commas")
    return [int(name) for name in _names(text)]
