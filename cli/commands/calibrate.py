"""`uhd calibrate`: INT8 and FP8 graphs for a bundle, calibrated on images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from uhd_edge.cli.bundle import bundle_before_images, bundle_option
from uhd_edge.cli.commands.export import parser_of_names
from uhd_edge.cli.progress import say, shown_time_left
from uhd_edge.engines.extras import extra_needed

if TYPE_CHECKING:
    from uhd_edge.calibration.ranges.plan import CalibratedPrecision


@click.command()
@click.argument("arguments", nargs=-1, metavar="BUNDLE [IMAGE_OR_FOLDER]...")
@bundle_option
@click.option(
    "--precision",
    "precisions",
    type=parser_of_names("int8", "fp8", "nvfp4"),
    default="int8",
    show_default=True,
    metavar="int8,fp8,nvfp4",
    help="Graphs to make: INT8 for CPUs and TensorRT, FP8 for TensorRT on RTX 40, RTX 50 and Thor, NVFP4 for "
    "TensorRT on RTX 50 and Thor.",
)
@click.option("--max-slices", type=click.IntRange(min=1), metavar="N", help="Most slices an image is cut into.")
@click.option(
    "--cosine",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="C",
    help="Least cosine of every view against FP32, where the bundle's threshold is too low.",
)
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads.  [default: the usable cores]")
@click.option("--seed", default=0, show_default=True, help="Seed for the rows that errors are measured on.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def calibrate(
    arguments: tuple[str, ...],
    *,
    bundle: str | None,
    precisions: list[CalibratedPrecision],
    max_slices: int | None,
    cosine: float,
    threads: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """Add INT8 or FP8 graphs to BUNDLE, calibrated on images like those that the device will see.

    They replace all that an earlier calibration made.

    Without images, those that come with uhd-edge are used: photographs, documents, screens,
    charts and more. A few dozen images of your own fit your device better.
    """
    folder, pictures = bundle_before_images(arguments, bundle)
    with extra_needed("calibration", "a calibration"):
        from uhd_edge.calibration.calibrate import calibrate_bundle
        from uhd_edge.calibration.report import table
    from uhd_edge.runtime.bundles.bundle import Bundle

    with shown_time_left() as progress:
        calibrated = calibrate_bundle(
            Bundle.open(folder),
            pictures,
            precisions=precisions,
            max_slices=max_slices,
            cosine=cosine,
            seed=seed,
            threads=threads,
            progress=progress,
            tell=say,
        )
    report = calibrated.report
    click.echo(report.to_json() if as_json else table(report), nl=not as_json)
    if not as_json:
        written = calibrated.bundle
        click.echo(f"\n{written.path}: {written.describe_graphs()}; the report is {written.manifest.calibration}")
