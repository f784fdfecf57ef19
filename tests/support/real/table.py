"""The table at the end of `make test-real`: a row for transformers and one for each precision, in each mode."""

from __future__ import annotations

import platform
from dataclasses import astuple, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from uhd_edge.bench.machine import this_machine

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADINGS = (
    "vision",
    "mode",
    "lowest cosine",
    "worst token",
    "largest error",
    "greedy text equal",
    "answers right",
    "s a view",
)


@dataclass(frozen=True)
class Row:
    """The cells of a row.

    `largest_error` is the largest absolute difference from transformers' embeddings, in standard
    deviations of these. What does not apply is a dash.
    """

    vision: str
    mode: str
    cosine: str = "-"
    token_cosine: str = "-"
    largest_error: str = "-"
    greedy: str = "-"
    right: str = "-"
    view: str = "-"


def table_lines(model: str, rows: Sequence[Row], missing: Sequence[tuple[str, str]]) -> list[str]:
    """Format the rows as a table in Markdown, below the model and the machine, above what is `missing` and why."""
    machine = this_machine()
    versions = machine.packages | {name: found for name in ("torch", "transformers") if (found := _version(name))}
    return [
        f"{model}; {machine.line}; Python {platform.python_version()}, "
        + ", ".join(f"{name} {found}" for name, found in versions.items()),
        "",
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * len(HEADINGS)}",
        *(f"| {' | '.join(astuple(row))} |" for row in rows),
        *([""] if missing else []),
        *(f"{what}: {why}" for what, why in missing),
    ]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
