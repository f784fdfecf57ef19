"""The error of every layer before and after, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from uhd_edge.calibration.report import FlavourReport, Report

COMMON = "vision_tower.encoder."
BEFORE, AFTER, PUT_BACK = "#c44e52", "#4c72b0", "#8c8c8c"


def write_plot(report: Report, file: Path) -> bool:
    """Write a PNG with one panel for each kind of INT8 graph; False, and no file, where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(12, 3 * len(report.flavours) + 1), layout="constrained")
    axes = figure.subplots(len(report.flavours), squeeze=False, sharex=True)[:, 0]
    for panel, (kind, flavour) in zip(axes, report.flavours.items(), strict=True):
        _draw(panel, kind, flavour)
    figure.savefig(file, dpi=120, format="png")
    return True


def _draw(panel: Axes, kind: str, flavour: FlavourReport) -> None:
    """One place on the horizontal axis for each layer, in the order in which they are computed."""
    layers = flavour.layers
    places = range(len(layers))
    panel.plot(places, [layer.error_before for layer in layers], "o-", color=BEFORE, markersize=3, label="naive")
    quantized = [(place, layer.error_after) for place, layer in enumerate(layers) if not layer.put_back]
    panel.plot(*zip(*quantized, strict=True) if quantized else ([], []), "o-", color=AFTER, markersize=3, label="after")
    for place, layer in enumerate(layers):
        if layer.put_back:
            panel.axvline(place, color=PUT_BACK, linewidth=0.8)
    panel.set_yscale("log")
    panel.set_title(f"{kind}: {len(flavour.put_back)} of {len(layers)} layers put back")
    panel.set_ylabel("error, share of the output")
    panel.set_xticks(list(places), [layer.name.removeprefix(COMMON) for layer in layers], rotation=90, fontsize=5)
    panel.legend()
