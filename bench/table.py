"""Formats a report as tables for the terminal."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from uhd_edge.bench.report import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from uhd_edge.bench.report import BenchReport, Measured, Spread

COLUMNS = 4  # side by side; more would not fit into a terminal
LABELS = {"encoder_per_view": "  per view", "first_token": "first token"}


def table(report: BenchReport) -> str:
    """One table for each size of picture, with a row for each stage and a column for each configuration."""
    rounds = report.settings.rounds
    spread = f"the median of {rounds} rounds (lowest - highest)" if rounds > 1 else "one round"
    lines = [f"{report.bundle} on {report.machine.line}", *_places(report.measured), f"milliseconds, {spread}"]
    for size, of_size in itertools.groupby(report.measured, key=lambda one: one.configuration.picture.name):
        columns = list(of_size)
        for start in range(0, len(columns), COLUMNS):
            lines += ["", *_block(size, columns[start : start + COLUMNS])]
    return "\n".join(lines)


def _places(measured: Sequence[Measured]) -> Iterator[str]:
    """Say where each half ran, a line each."""
    vision = dict.fromkeys(f"{one.precision} on {one.provider}" for one in measured)
    yield f"vision: {', '.join(vision)}"
    yield f"language model: {'; '.join(dict.fromkeys(one.language_model for one in measured))}"


def _block(size: str, columns: Sequence[Measured]) -> list[str]:
    rows = [(size, [one.label for one in columns]), *_rows(columns)]
    label = max(len(name) for name, _ in rows)
    widths = [max(len(cells[index]) for _, cells in rows) for index in range(len(columns))]
    return [
        f"{name:<{label}}{''.join(f'  {cell:>{width}}' for cell, width in zip(cells, widths, strict=True))}".rstrip()
        for name, cells in rows
    ]


def _rows(columns: Sequence[Measured]) -> Iterator[tuple[str, list[str]]]:
    yield "views", [str(one.views) for one in columns]
    yield "tokens of the image", [str(one.vision_tokens) for one in columns]
    for stage in STAGES:
        yield LABELS.get(stage, stage), [shown(one.stages[stage]) for one in columns]
    yield (
        "tokens per second",
        ["" if one.tokens_per_second is None else shown(one.tokens_per_second) for one in columns],
    )
    yield "peak memory, MB", [f"{one.peak_memory / 1e6:.0f}" for one in columns]


def shown(spread: Spread) -> str:
    """Median, lowest and highest: `12.3 (11.9 - 13.1)`. After a single round, just its value."""
    if len(spread.values) == 1:
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.lowest)} - {number(spread.highest)})"


def number(value: float) -> str:
    """A number with three significant digits, and without decimals from 100 on."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
