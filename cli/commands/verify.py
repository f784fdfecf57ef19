"""`uhd verify`: an engine compared with FP32 on ONNX Runtime."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from uhd_edge.cli.before_simulating import require_simulatable, simulatable_kinds
from uhd_edge.cli.bundle import bundle_before_images, bundle_option
from uhd_edge.cli.fp16_tables import aligned, range_table, simulation_table
from uhd_edge.engines.extras import extra_needed
from uhd_edge.engines.names import ENGINE_NAMES
from uhd_edge.runtime.vision.verdicts.kept import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.calibration.fp16_range import LayerRange
    from uhd_edge.calibration.simulation.simulate import Simulation
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import GraphKind
    from uhd_edge.runtime.checking.verify import VerificationReport
    from uhd_edge.runtime.modes import Mode

DRAWN = "No images were given, so a few were drawn; your own images tell you more."
DRAWN_HARDER = "INT8 is calibrated on images like yours, not on drawn ones: give some of your own before you judge."


@click.command()
@click.argument("arguments", nargs=-1, metavar="BUNDLE [IMAGE]...")
@bundle_option
@click.option(
    "--engine",
    type=click.Choice(ENGINE_NAMES),
    default="auto",
    show_default=True,
    help="Engine to compare.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "fp16", "int8", "fp8", "nvfp4"]),
    default="auto",
    show_default=True,
    help="Precision to compare; auto is the one that `uhd ask` would use.",
)
@click.option("--mode", type=click.Choice(["16x", "4x"]), help="Mode to compare.  [default: all of the bundle's]")
@click.option("--max-slices", type=click.IntRange(min=1), metavar="N", help="Most slices an image is cut into.")
@click.option("--question", metavar="TEXT", help="Question to ask about every image.  [default: Describe the image.]")
@click.option("--no-answers", is_flag=True, help="Compare only embeddings, without the language model.")
@click.option("--ranges", is_flag=True, help="Show the largest value of every layer in FP16, too; needs onnx.")
@click.option("--simulate", is_flag=True, help="Simulate INT8 and FP8 on TensorRT without a GPU, too; needs onnx.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads.  [default: the usable cores]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def verify(
    ctx: click.Context,
    arguments: tuple[str, ...],
    *,
    bundle: str | None,
    engine: str,
    precision: str,
    mode: str | None,
    max_slices: int | None,
    question: str | None,
    no_answers: bool,
    ranges: bool,
    simulate: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Compare BUNDLE's engine with FP32 on ONNX Runtime, on IMAGEs or on a few drawn ones.

    The exit code is 1 if a threshold of the bundle is missed.
    """
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.checking.verify import QUESTION, verify_bundle

    folder, images = bundle_before_images(arguments, bundle)
    opened = Bundle.open(folder)
    if simulate:
        require_simulatable(opened, precision, mode)
    report = verify_bundle(
        opened,
        engine=engine,  # type: ignore[arg-type]  # click has checked the choices
        precision=precision,  # type: ignore[arg-type]
        images=images,
        modes=None if mode is None else [mode],  # type: ignore[list-item]
        max_slices=max_slices,
        question=None if no_answers else question or QUESTION,
        threads=threads,
        progress=lambda step: click.echo(step, err=True),
    )
    for note in report.notes:
        click.echo(f"uhd: {note}", err=True)
    layers = _layer_ranges(opened, report, images, max_slices, threads) if ranges else []
    simulations = _simulations(opened, report, images, max_slices, threads) if simulate else []
    failures = [
        why for one in simulations for why in one.failures(getattr(opened.manifest.thresholds, one.numbers.lower()))
    ]
    if as_json:
        click.echo(json.dumps(_as_object(report, layers, simulations), ensure_ascii=False))
    else:
        click.echo("\n".join([*_text(report, layers, simulations), *(f"failed: {failure}" for failure in failures)]))
    if failures or not report.passed:
        ctx.exit(1)


def _layer_ranges(
    bundle: Bundle, report: VerificationReport, images: tuple[str, ...], max_slices: int | None, threads: int | None
) -> list[LayerRange]:
    with extra_needed("export", "--ranges"):
        from uhd_edge.calibration.fp16_range import layer_ranges
    from uhd_edge.runtime.checking.pictures import named_pictures

    pictures = [picture.image for picture in named_pictures(bundle, images)]
    return [
        layer
        for verified in report.verified
        for layer in layer_ranges(bundle, pictures, mode=verified.mode, max_slices=max_slices, threads=threads)
    ]


def _simulations(
    bundle: Bundle, report: VerificationReport, images: tuple[str, ...], max_slices: int | None, threads: int | None
) -> list[Simulation]:
    """Simulate the graphs of the precision that was compared, or all that the bundle has for TensorRT."""
    with extra_needed("calibration", "--simulate"):
        from uhd_edge.calibration.simulation.simulate import simulate_bundle
    from uhd_edge.runtime.checking.pictures import named_pictures

    compared = {verified.precision for verified in report.verified}
    modes: list[Mode] = [verified.mode for verified in report.verified]
    there = simulatable_kinds(bundle, modes)
    wanted: list[GraphKind] = [kind for kind in there if kind.partition("-")[0] in compared]
    pictures = {picture.name: picture.image for picture in named_pictures(bundle, images)}
    return [
        simulation
        for kind in wanted or there
        for simulation in simulate_bundle(
            bundle,
            pictures,
            kind=kind,
            modes=modes,
            max_slices=max_slices,
            threads=threads,
            progress=lambda step: click.echo(step, err=True),
        )
    ]


def _as_object(
    report: VerificationReport, layers: Sequence[LayerRange], simulations: Sequence[Simulation]
) -> dict[str, Any]:
    summary = {"passed": report.passed, "agreement": report.agreement}
    ranges = [asdict(layer) | {"half": _finite(layer.half), "full": _finite(layer.full)} for layer in layers]
    simulated = [one.as_dict() for one in simulations]
    return (
        summary
        | asdict(report)
        | ({"ranges": ranges} if ranges else {})
        | ({"simulations": simulated} if simulated else {})
    )


def _finite(number: float) -> float | None:
    """Return None for infinity, which JSON does not have."""
    return number if math.isfinite(number) else None


def _text(report: VerificationReport, layers: Sequence[LayerRange], simulations: Sequence[Simulation]) -> list[str]:
    ranges = [*range_table(layers), ""] if layers else []
    simulated = [*simulation_table(simulations), ""] if simulations else []
    return [*_intro(report), "", *_table(report), "", *ranges, *simulated, *_answers(report), *_verdict(report)]


def _intro(report: VerificationReport) -> list[str]:
    lines = [
        f"{verified.mode}: {verified.precision} on {verified.provider}, compared with "
        f"{verified.reference.upper()} on ONNX Runtime's CPU"
        for verified in report.verified
    ]
    found = [(one.mode, in_words(one.milliseconds, one.fused_attention)) for one in report.verified]
    lines += [f"{mode}: {', '.join(words)}" for mode, words in found if words]
    if any(one.reference != "fp32" for one in report.verified):
        lines.append("The bundle has no FP32 graphs; what rounding its weights to FP16 costs is not in these figures.")
    if all((one.precision, one.provider) == (one.reference, "CPUExecutionProvider") for one in report.verified):
        lines.append("That is the reference itself; choose a --precision or an --engine to compare.")
    return [*lines, DRAWN] if report.synthetic else lines


def _table(report: VerificationReport) -> list[str]:
    rows = [("mode", "picture", "view", "cosine", "worst token", "largest error")]
    rows += [
        (
            view.mode,
            view.picture,
            view.view,
            f"{_floored(view.cosine)}",
            f"{_floored(view.token_cosine)} (token {view.worst_token})",
            f"{view.largest_error:.3g} of {view.largest:.3g}",
        )
        for view in report.views
    ]
    return aligned(rows)


def _floored(cosine: float) -> str:
    """Round down, so that 0.99996 does not look like 1."""
    return f"{math.floor(cosine * 1e6) / 1e6:.6f}"


def _answers(report: VerificationReport) -> list[str]:
    if not report.answers:
        return []
    same = sum(answer.same for answer in report.answers)
    lines = [f"answers: {same} of {len(report.answers)} the same"]
    for answer in report.answers:
        if not answer.same:
            lines += [
                f"  {answer.mode}, {answer.picture}: the reference {answer.expected!r}",
                f"    here {answer.given!r}",
            ]
    return lines


def _verdict(report: VerificationReport) -> list[str]:
    if report.passed:
        return ["passed: the bundle's thresholds are met"]
    lines = [f"failed: {failure}" for failure in report.failures]
    return (
        [*lines, DRAWN_HARDER]
        if report.synthetic and any(one.precision == "int8" for one in report.verified)
        else lines
    )
