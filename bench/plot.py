"""Plots a report: how the time to the first token is made up."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from uhd_edge.bench.table import number
from uhd_edge.runtime.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from uhd_edge.bench.report import BenchReport, Measured

# Colours that the colour-blind can tell apart (Okabe and Ito).
COLOURS = {
    "decode": "#999999",
    "slice": "#e69f00",
    "patches": "#f0e442",
    "encoder": "#0072b2",
    "connector": "#56b4e9",
    "prompt": "#cc79a7",
    "prefill": "#009e73",
}
REST = "#000000"


def write_plot(report: BenchReport, file: Path) -> None:
    """Write a PNG with one panel for each size of picture and one bar for each configuration.

    A bar shows the medians of the stages, one after the other. Its whisker shows the lowest and
    the highest time to the first token. The text beside it has the median, the speed of the tokens
    after the first, and the peak memory. Needs matplotlib. Raises `OutputError` when the file
    cannot be written.
    """
    from matplotlib.figure import Figure

    by_size = itertools.groupby(report.measured, key=lambda one: one.configuration.picture.name)
    panels = [(size, list(of_size)) for size, of_size in by_size]
    bars = [len(of_size) for _, of_size in panels]
    figure = Figure(figsize=(11, 1.8 + 0.9 * len(panels) + 0.5 * sum(bars)), layout="constrained")
    axes = figure.subplots(len(panels), squeeze=False, height_ratios=[count + 0.6 for count in bars])[:, 0]
    for panel, (size, of_size) in zip(axes, panels, strict=True):
        _draw(panel, size, of_size)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False)
    figure.suptitle(f"{report.bundle}: from the question to the first token\n{report.machine.line}", fontsize=10)
    try:
        figure.savefig(file, dpi=120, format="png")
    except OSError as error:
        raise OutputError(f"{file}: cannot be written ({error.strerror}); choose another name") from error


def _draw(panel: Axes, size: str, measured: list[Measured]) -> None:
    places = range(len(measured))
    left = [0.0] * len(measured)
    for stage, colour in COLOURS.items():
        widths = [one.stages[stage].median for one in measured]
        panel.barh(places, widths, left=left, height=0.6, color=colour, label=stage)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    totals = [one.stages["first_token"] for one in measured]
    rest = [max(0.0, total.median - start) for total, start in zip(totals, left, strict=True)]
    panel.barh(places, rest, left=left, height=0.6, color=REST, label="rest")
    ends = [total.median for total in totals]
    whiskers = [[total.median - total.lowest for total in totals], [total.highest - total.median for total in totals]]
    panel.errorbar(ends, places, xerr=whiskers, fmt="none", ecolor="black", elinewidth=1, capsize=4)
    for place, one in zip(places, measured, strict=True):
        _caption(panel, place, one)
    panel.set_yticks(list(places), [one.label for one in measured])
    panel.set_ylim(len(measured) - 0.4, -0.6)  # the first one on top
    panel.set_xlim(0, 1.5 * max(total.highest for total in totals))  # room for the text beside the bars
    panel.set_title(f"{size}, {_views(measured)}", loc="left", fontsize=10)
    panel.set_xlabel("milliseconds")
    panel.spines[["top", "right"]].set_visible(False)


def _caption(panel: Axes, place: int, one: Measured) -> None:
    first = one.stages["first_token"]
    rate = "" if one.tokens_per_second is None else f", then {number(one.tokens_per_second.median)} tokens/s"
    text = f"{number(first.median)} ms{rate}; at most {one.peak_memory / 1e6:.0f} MB"
    panel.annotate(text, (first.highest, place), (8, 0), textcoords="offset points", va="center", fontsize=8)


def _views(measured: list[Measured]) -> str:
    counts = sorted({one.views for one in measured})
    return f"{' or '.join(map(str, counts))} view{'s' if counts != [1] else ''}"
