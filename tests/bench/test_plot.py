"""The report as a plot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from uhd_edge.bench.plot import write_plot
from uhd_edge.bench.report import BenchReport


def test_the_plot_is_a_png_that_grows_with_what_was_measured(report: BenchReport, tmp_path: Path) -> None:
    write_plot(report, tmp_path / "all.png")
    write_plot(replace(report, measured=report.measured[:1]), tmp_path / "one.png")
    with Image.open(tmp_path / "all.png") as every, Image.open(tmp_path / "one.png") as one:
        assert every.format == "PNG"
        assert every.height > one.height
