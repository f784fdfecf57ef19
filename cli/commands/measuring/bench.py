"""`uhd bench`: time and memory of every stage of an answer on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uhd_edge.cli.bundle import bundle_option, one_bundle
from uhd_edge.cli.commands.measuring.flops import require_one
from uhd_edge.engines.extras import extra_needed

if TYPE_CHECKING:
    from uhd_edge.bench.configuration import Picture
    from uhd_edge.runtime.bundles.bundle import Bundle

DEFAULT_SIZES = "448x448,1344x1344"
RANDOM = "the weights are random, so answers are noise; times and memory are those of the real sizes"


@click.command()
@click.argument("folder", metavar="[BUNDLE]", required=False)
@bundle_option
@click.option(
    "--synthetic",
    metavar="NAME",
    help="Use random weights of a known model's sizes, in vision and language model, such as minicpm-v-4.6.",
)
@click.option("--sizes", metavar="WxH,..", help=f"Sizes of the images to draw.  [default: {DEFAULT_SIZES}]")
@click.option("--image", metavar="FILE", help="Measure with this image instead.")
@click.option("--modes", metavar="M,..", help="16x, 4x or both.  [default: the bundle's]")
@click.option("--precisions", default="auto", show_default=True, metavar="P,..", help="Any of auto, fp32, fp16, int8.")
@click.option(
    "--engines",
    default="auto",
    show_default=True,
    metavar="E,..",
    help="Any of auto, onnxruntime, openvino, tensorrt, tensorrt-rtx.",
)
@click.option("--rounds", default=5, show_default=True, metavar="N", help="How often each combination is measured.")
@click.option("--warm-up", default=1, show_default=True, metavar="N", help="Rounds before that, which do not count.")
@click.option("--max-slices", type=click.IntRange(min=1), metavar="N", help="Most slices an image is cut into.")
@click.option("--max-tokens", default=16, show_default=True, metavar="N", help="Most tokens of an answer.")
@click.option(
    "--context", default=4096, show_default=True, metavar="N", help="Most tokens of prompt and answer together."
)
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads.  [default: the usable cores]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object with the values of every round.")
@click.option("--plot", metavar="FILE.png", help="Draw the stages as a bar chart, too.")
def bench(
    folder: str | None,
    *,
    bundle: str | None,
    synthetic: str | None,
    sizes: str | None,
    image: str | None,
    modes: str | None,
    precisions: str,
    engines: str,
    rounds: int,
    warm_up: int,
    max_slices: int | None,
    max_tokens: int,
    context: int,
    threads: int | None,
    as_json: bool,
    plot: str | None,
) -> None:
    """Measure each stage of an answer with BUNDLE, or without it with the built-in uhd-tiny.

    Every combination of sizes, modes, precisions and engines is measured. Runs are interleaved,
    so background load affects all combinations equally. Peak memory is that of a fresh process.
    """
    from uhd_edge.bench.configuration import Settings, configurations
    from uhd_edge.bench.rounds import run_bench
    from uhd_edge.bench.table import table

    named = one_bundle(folder, bundle)
    require_one("a bundle or --synthetic", named, synthetic)
    require_one("--sizes or --image", sizes, image)
    if plot is not None:
        _require_drawable(plot)
    settings = Settings(rounds, warm_up, max_tokens, threads, context, max_slices)
    pictures = _pictures(sizes, image)
    configurations(
        pictures, _names("16x,4x" if modes is None else modes), _names(precisions), _names(engines)
    )  # so that a wrong name is found before anything is built
    opened = _bundle(named, synthetic, _names(precisions), threads)
    chosen = configurations(
        pictures,
        list(opened.manifest.graphs) if modes is None else _names(modes),
        _names(precisions),
        _names(engines),
    )
    report = run_bench(opened, chosen, settings, progress=lambda step: click.echo(step, err=True))
    for note in report.notes:
        click.echo(f"uhd: {note}", err=True)
    click.echo(json.dumps(report.as_object(), ensure_ascii=False) if as_json else table(report))
    if plot is not None:
        from uhd_edge.bench.plot import write_plot

        write_plot(report, Path(plot))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _require_drawable(plot: str) -> None:
    """Find out now that a plot cannot be drawn, not after minutes of measuring."""
    from uhd_edge.runtime.errors import OutputError

    with extra_needed("calibration", "--plot"):
        import matplotlib.figure  # noqa: F401
    folder = Path(plot).parent
    if Path(plot).is_dir() or not folder.is_dir():
        raise OutputError(
            f"{plot}: cannot be written, because it is a folder or {folder} is not one; choose another name"
        )


def _pictures(sizes: str | None, image: str | None) -> list[Picture]:
    from uhd_edge.bench.pictures import drawn_picture, read_picture
    from uhd_edge.runtime.images.picture_size import picture_sizes

    if image is not None:
        return [read_picture(image)]
    return [drawn_picture(*size) for size in picture_sizes(DEFAULT_SIZES if sizes is None else sizes)]


def _bundle(bundle: str | None, synthetic: str | None, precisions: list[str], threads: int | None) -> Bundle:
    from uhd_edge.runtime.bundles.bundle import Bundle

    if synthetic is None:
        return Bundle.open(bundle)
    with extra_needed("export", "--synthetic"):
        from uhd_edge.bench.synthetic.bundle import synthetic_bundle
    opened = synthetic_bundle(
        synthetic, precisions=precisions, threads=threads, progress=lambda step: click.echo(step, err=True)
    )
    click.echo(f"uhd: {RANDOM}", err=True)
    return opened
