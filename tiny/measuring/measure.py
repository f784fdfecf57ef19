"""Measures uhd-tiny on the measured sets as users run it: with `uhd eval`'s own code, through the bundle.

`python -m uhd_edge.tiny.measuring.measure` prints the first table of `RESULTS.md`, with `--world easier` the second.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uhd_edge.evaluation.asking.run import Order, Run
from uhd_edge.evaluation.asking.settings import Asking, Setting
from uhd_edge.evaluation.data.data_set import Reading, open_data_set
from uhd_edge.evaluation.report.summary import summarize
from uhd_edge.evaluation.report.table import percent
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.tiny.measuring.measured import EASY_SETTINGS, HARD_SETTINGS, QUESTIONS, write_set

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uhd_edge.evaluation.asking.settings import PrecisionName
    from uhd_edge.evaluation.report.summary import Column, Summary

ANSWER_TOKENS = 16
WORLDS = {"harder": HARD_SETTINGS, "easier": EASY_SETTINGS}


def evaluated(
    bundle: Bundle, name: str, settings: Iterable[Setting], folder: Path, *, count: int, threads: int | None
) -> Summary:
    """Ask the first `count` questions of a set in every setting; what `folder` has of them is not asked again."""
    data = open_data_set(write_set(name, folder, count), Reading())
    asking = Asking(max_tokens=ANSWER_TOKENS, threads=threads)
    order = Order(bundle, data, tuple(settings), asking, folder / "answers")
    with Run(order) as run:
        for _ in run.ask():
            pass
    return summarize(order)


def markdown(columns: dict[str, Column]) -> str:
    """A Markdown table of the right answers in percent: a row for each kind of question, a column for each setting."""
    kinds = sorted({kind for column in columns.values() for kind in column.groups})
    rows = [["question", *columns], ["---", *["---:"] * len(columns)]]
    rows += [[kind, *(percent(column.groups[kind].mean) for column in columns.values())] for kind in kinds]
    rows.append(["**all**", *(percent(column.score.mean) for column in columns.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@click.command()
@click.option("--bundle", help="A bundle folder.  [default: the built-in bundle]")
@click.option("--world", type=click.Choice(list(WORLDS)), default="harder", show_default=True, help="Sets to ask.")
@click.option("--count", default=QUESTIONS, show_default=True, help="Number of questions in each set.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "fp16", "int8", "fp8", "nvfp4"]),
    default="auto",
    show_default=True,
    help="Precision of the vision graphs.",
)
@click.option("--threads", type=int, help="Number of threads.  [default: one for each usable core]")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to keep the sets and the answers.")
def main(
    bundle: str | None,
    world: str,
    *,
    count: int,
    precision: PrecisionName,
    threads: int | None,
    folder: Path | None,
) -> None:
    """Print the share of exact answers by kind of question."""
    columns: dict[str, Column] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in dict.fromkeys(setting.measured_set for setting in WORLDS[world]):
            asked = [setting for setting in WORLDS[world] if setting.measured_set == name]
            settings = [Setting(one.mode, one.max_slices, precision) for one in asked]
            kept = Path(temporary) if folder is None else folder
            summary = evaluated(Bundle.open(bundle), name, settings, kept, count=count, threads=threads)
            columns |= {one.title: column for one, column in zip(asked, summary.columns, strict=True)}
    click.echo(markdown(columns))


if __name__ == "__main__":
    main()
