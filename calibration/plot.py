"""Plot the error of every layer before and after calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from uhd_edge.calibration.report import FlavourReport, Report

COMMON = ("vision_tower.", "encoder.")
INCHES_PER_LAYER = 0.2
BEFORE, AFTER, PUT_BACK = "#c44e52", "#4c72b0", "#8c8c8c"


def write_plot(report: Report, file: Path) -> bool:
    """Write a PNG with one panel for each kind of graph; False, and no file, if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    width = max(INCHES_PER_LAYER * len(flavour.layers) for flavour in report.flavours.values())
    figure = Figure(figsize=(max(width, 8), 3.5 * len(report.flavours) + 1.5), layout="constrained")
    measured_on = (
        "the picture it was calibrated with" if report.measured_on == report.calibrated_with else "other pictures"
    )
    figure.suptitle(f"Rounding error of each layer's output, on {measured_on}")
    axes = figure.subplots(len(report.flavours), squeeze=False, sharex=True)[:, 0]
    for panel, (kind, flavour) in zip(axes, report.flavours.items(), strict=True):
        _draw(panel, kind, flavour)
    figure.savefig(file, dpi=120, format="png")
    return True


def _draw(panel: Axes, kind: str, flavour: FlavourReport) -> None:
    """Draw one position on the horizontal axis for each layer, in order of computation."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    layers = flavour.layers
    places = range(len(layers))
    before = [100 * layer.error_before for layer in layers]
    after = [float("nan") if layer.put_back else 100 * layer.error_after for layer in layers]
    panel.plot(places, before, "o-", color=BEFORE, markersize=3, linewidth=1, label="naive")
    panel.plot(places, after, "o-", color=AFTER, markersize=3, linewidth=1, label="calibrated")
    put_back = [place for place, layer in enumerate(layers) if layer.put_back]
    panel.vlines(put_back, 0, 1, PUT_BACK, transform=panel.get_xaxis_transform(), linewidth=1, label="not quantized")
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    panel.grid(visible=True, axis="y", linewidth=0.3)
    panel.set_title(f"{kind}: {len(flavour.put_back)} of {len(layers)} layers not quantized")
    panel.set_ylabel("error, % of the output's RMS")
    panel.set_xticks(list(places), [_short(layer.name) for layer in layers], rotation=90, fontsize=7)
    panel.margins(x=0.01)
    panel.legend(fontsize=8)


def _short(layer: str) -> str:
    for prefix in COMMON:
        layer = layer.removeprefix(prefix)
    return layer
