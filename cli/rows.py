"""The arguments of commands that read rows: `[BUNDLE] DATA`, names of columns, and the split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

column_option = click.option(
    "--column", "columns", multiple=True, metavar="OURS=THEIRS", help="Name of a column, as question=query."
)

split_option = click.option("--split", metavar="NAME", help="Which split of a folder of parquet files.")


def bundle_and_rows(arguments: Sequence[str], bundle: str | None, name: str) -> tuple[str | None, str]:
    """Return the bundle, None where none is given, and what is read, which is called `name`; or a `UsageError`."""
    if not arguments:
        raise click.UsageError(f"Missing argument '{name}'.")
    if len(arguments) > 2:
        raise click.UsageError(f"one bundle and one {name}, please, not {', '.join(arguments)}")
    if len(arguments) == 2 and bundle is not None:
        raise click.UsageError(f"the bundle is given twice: {arguments[0]} and --bundle {bundle}; give it once")
    return arguments[0] if len(arguments) == 2 else bundle, arguments[-1]


def parse_columns(given: Sequence[str]) -> Mapping[str, str]:
    """Parse what `column_option` was given; a `UsageError` where a name is missing."""
    pairs = [one.partition("=") for one in given]
    if any(not ours or not theirs for ours, _, theirs in pairs):
        raise click.UsageError("--column takes OURS=THEIRS, such as question=query")
    return {ours: theirs for ours, _, theirs in pairs}
