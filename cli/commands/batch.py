"""`uhd batch`: the same questions to many pictures, one row each, whatever stops it on the way."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from uhd_edge.cli.options import OPENING, WRITING, opening_options, writing_options
from uhd_edge.cli.remaining import follow
from uhd_edge.cli.rows import bundle_and_rows, column_option, parse_columns, split_option
from uhd_edge.cli.unused import say_unused_think_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from uhd_edge.batch.cluster.answering import Cluster
    from uhd_edge.batch.lanes import Lanes
    from uhd_edge.batch.order import Asking, Order
    from uhd_edge.batch.outputs.opening import Output
    from uhd_edge.batch.row import Row
    from uhd_edge.runtime.options import AskOptions


@click.command()
@click.argument("arguments", nargs=-1, metavar="[BUNDLE] INPUT")
@click.option(
    "-q", "--question", "questions", multiple=True, metavar="TEXT", help="Asked of every picture; repeatable."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE", help=".jsonl or .parquet."
)
@click.option(
    "--lanes", type=click.IntRange(min=1), metavar="N", help="Questions at once.  [default: cores, at most 4]"
)
@click.option(
    "--ray",
    "address",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Use a Ray cluster: its address, `auto`, or none for one on this machine.",
)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Workers of the cluster.  [default: all]")
@click.option("--unordered", is_flag=True, help="Write rows as they are ready, not in the order of INPUT.")
@column_option
@split_option
@opening_options
@writing_options
def batch(
    arguments: tuple[str, ...],
    *,
    questions: tuple[str, ...],
    output: Path,
    lanes: int | None,
    address: str | None,
    workers: int | None,
    unordered: bool,
    columns: tuple[str, ...],
    split: str | None,
    **given: Any,
) -> None:
    """Ask questions about every picture of INPUT with BUNDLE, or without it with the built-in uhd-tiny.

    INPUT is a folder of pictures, a pattern ('photos/**/*.jpg'), a list of paths (.txt), JSON lines, a TSV of
    VLMEvalKit, parquet or WebDataset tars. The output has one row for each picture and question; what cannot be
    answered is a row that says why. A run that was stopped goes on with the same command.
    """
    from uhd_edge.batch.outputs.opening import check_output, open_output
    from uhd_edge.batch.run import count_rows

    named, source = bundle_and_rows(arguments, given.pop("bundle"), "INPUT")
    check_output(output)
    order = replace(_order(named, source, questions, (columns, split), given), ordered=not unordered)
    say_unused_think_tokens(order.asking.bundle.manifest.prompt, given["think"])
    total = count_rows(order)
    with open_output(output, order.head(), ordered=order.ordered) as opened:
        if count := len(opened.finished):
            click.echo(f"uhd: {count} of {total} rows are in {output} already", err=True)
        if count < total:
            answering = _answering(order.asking, address, workers, lanes, given["threads"])
            _answer(order, answering, opened, total)
        opened.finish()
    click.get_current_context().obj.all_closed = True


def _order(
    named: str | None,
    source: str,
    questions: Sequence[str],
    reading: tuple[tuple[str, ...], str | None],
    given: dict[str, Any],
) -> Order:
    from uhd_edge.batch.order import Asking, Opening, Order
    from uhd_edge.cli.schema import schema_in
    from uhd_edge.rows.source import open_source
    from uhd_edge.runtime.bundles.bundle import Bundle

    options = {name: given[name] for name in WRITING}
    if schema_in(given["schema"]) is not None:
        options["schema"] = Path(given["schema"]).read_text(encoding="utf-8-sig")
    columns, split = reading
    opening = Opening(**{name: given[name] for name in OPENING if name != "threads"})
    asking = Asking(Bundle.open(named), opening, cast("AskOptions", options))
    return Order(asking, open_source(source, parse_columns(columns), split), tuple(questions))


@contextmanager
def _answering(
    asking: Asking, address: str | None, workers: int | None, lanes: int | None, threads: int | None
) -> Iterator[Lanes | Cluster]:
    """Open what answers: lanes here, or a cluster."""
    if address is None:
        from uhd_edge.batch.lanes import Lanes, count_lanes

        if workers is not None:
            raise click.UsageError("--workers are those of a cluster; give --ray, or --lanes")
        with Lanes(asking, count_lanes(lanes, threads)) as opened:
            yield opened
        return
    from uhd_edge.batch.cluster.answering import ClusterOptions, connected

    with connected(asking, ClusterOptions(address, workers, lanes, threads)) as cluster:
        yield cluster


def _answer(order: Order, answering: AbstractContextManager[Lanes | Cluster], output: Output, total: int) -> None:
    from uhd_edge.batch.run import write_rows

    errors = 0

    def counted(opened: Lanes | Cluster) -> Iterator[Row]:
        nonlocal errors
        for row in write_rows(order, opened, output):
            errors += row.error is not None
            yield row

    try:
        with answering as opened:
            follow(counted(opened), total - len(output.finished), order.source.name)
            for note in opened.notes:
                click.echo(f"uhd: {note}", err=True)
    except KeyboardInterrupt:
        missing = total - len(output.finished)
        click.echo(f"\nuhd: {missing} of {total} rows are missing; the same command goes on", err=True)
        raise
    if errors:
        click.echo(f"uhd: {errors} of {total} questions have no answer; their rows say why", err=True)
