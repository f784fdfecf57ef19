"""The report of a calibration: `calibration.json` for programs, and tables for a terminal."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from uhd_edge.runtime.checking.counted import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from uhd_edge.calibration.flavours import Outcome, Step
    from uhd_edge.calibration.prepared import Prepared
    from uhd_edge.calibration.ranges.plan import Flavour
    from uhd_edge.calibration.simulation.simulate import Simulation
    from uhd_edge.runtime.bundles.manifest import GraphKind, Threshold

    _Measured = TypeVar("_Measured", Step, Simulation)

FORMAT = 1
LARGEST_HALF = 65504.0
NEAR_OVERFLOW = 0.5  # of the largest FP16 number
WORTH = "the pictures are uhd-edge's own; 24 of what your device will see give ranges that are made for it"
TOOLS = {
    "onnxruntime": "ran every graph",
    "onnx-ir": "read and wrote the graphs",
    "numpy": "computed smoothing, ranges and errors in uhd-edge's own code: onnxruntime.quantization supports "
    "neither smoothing, nor FP16 graphs, nor one weight file for two graphs",
}


@dataclass(frozen=True)
class Layer:
    """One linear: its errors on unseen pictures, and how it was quantized.

    `error_before` is the error of naive quantization, `error_after` the remaining error; it is 0 if the
    layer was `put_back`, which means left unquantized. `low` and `high` are the range of its
    input, divided by the smoothing factors.
    """

    name: str
    error_before: float
    error_after: float
    put_back: bool
    smoothing: float
    range: str
    low: float
    high: float


@dataclass(frozen=True)
class FlavourReport:
    """One kind of quantized graph: its goal, the agreement after each step, every layer, and what engines compute."""

    goal: Threshold
    steps: tuple[Step, ...]
    layers: tuple[Layer, ...]
    simulations: tuple[Simulation, ...] = ()

    @property
    def put_back(self) -> list[str]:
        """The layers that are not quantized."""
        return [layer.name for layer in self.layers if layer.put_back]

    def as_dict(self) -> dict[str, Any]:
        """Return the content for `calibration.json`."""
        simulations = [simulation.as_dict() for simulation in self.simulations]
        goal = self.goal.model_dump()
        return dataclasses.asdict(self) | {"goal": goal, "simulations": simulations, "put_back": self.put_back}


@dataclass(frozen=True)
class Report:
    """The whole calibration. `largest` is the largest magnitude of every layer's output (FP16 ends at 65504).

    `threshold` and `goal` are those of the first of `flavours`. `shipped_pictures` says that the pictures are
    those of the package, not the user's.
    """

    format: int
    tools: Mapping[str, str]
    calibrated_with: tuple[str, ...]
    measured_on: tuple[str, ...]
    views: int
    threshold: Threshold
    goal: Threshold
    flavours: Mapping[GraphKind, FlavourReport]
    largest: Mapping[str, float]
    shipped_pictures: bool

    @property
    def near_overflow(self) -> list[str]:
        """The layers whose output is near the largest FP16 number."""
        return [name for name, peak in self.largest.items() if peak > NEAR_OVERFLOW * LARGEST_HALF]

    def to_json(self) -> str:
        """Return the contents of `calibration.json`."""
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        content |= {"threshold": self.threshold.model_dump(), "goal": self.goal.model_dump()}
        content["flavours"] = {kind: flavour.as_dict() for kind, flavour in self.flavours.items()}
        return json.dumps(content | {"near_overflow": self.near_overflow}, indent=2) + "\n"


def _layers(prepared: Prepared, outcome: Outcome) -> tuple[Layer, ...]:
    """Describe every linear, in order of computation."""
    layers = []
    for site in prepared.sites:
        span, smoothing = outcome.plan.ranges[site.name], outcome.plan.smoothing[site.name]
        for linear in site.linears:
            kept = linear.name in outcome.plan.kept
            layers.append(
                Layer(
                    name=linear.name,
                    error_before=outcome.errors_before[linear.name],
                    error_after=0.0 if kept else outcome.errors[linear.name],
                    put_back=kept,
                    smoothing=smoothing.strength,
                    range=span.method,
                    low=span.low,
                    high=span.high,
                )
            )
    return tuple(layers)


def make_report(
    prepared: Prepared,
    outcomes: Mapping[Flavour, Outcome],
    calibrated_with: Sequence[Path],
    measured_on: Sequence[Path],
    *,
    shipped_pictures: bool,
) -> Report:
    """Collect the results; pictures are named without their folders."""
    return Report(
        format=FORMAT,
        tools={f"{name} {version(name)}": what for name, what in TOOLS.items()},
        calibrated_with=tuple(picture.name for picture in calibrated_with),
        measured_on=tuple(picture.name for picture in measured_on),
        views=prepared.seen.views,
        threshold=prepared.threshold(next(iter(outcomes))),
        goal=prepared.goal(next(iter(outcomes))),
        flavours={
            flavour.kind: FlavourReport(
                prepared.goal(flavour),
                tuple(_without_folder(step) for step in outcome.steps),
                _layers(prepared, outcome),
                tuple(_without_folder(simulation) for simulation in outcome.simulations),
            )
            for flavour, outcome in outcomes.items()
        },
        largest=dict(prepared.seen.outputs),
        shipped_pictures=shipped_pictures,
    )


def _without_folder(measured: _Measured) -> _Measured:
    """Remove the folder from the name of the worst view: bundles are shared, and folder names are private."""
    name = PurePath(measured.agreement.worst_view).name
    return dataclasses.replace(measured, agreement=dataclasses.replace(measured.agreement, worst_view=name))


def table(report: Report) -> str:
    """Format the agreement after each step, and the worst layers, for a terminal."""
    lines = [
        _pictures_line(report),
        *([WORTH] if report.shipped_pictures else []),
        _goal_line(report.goal),
    ]
    for kind, flavour in report.flavours.items():
        lines += ["", f"{kind:<22}{'lowest cosine':>15}{'mean cosine':>15}{'worst token':>15}"]
        lines += [f"  {_goal_line(flavour.goal)}"] if flavour.goal != report.goal else []
        lines += [_step_line(step) for step in flavour.steps]
        lines += [f"  not quantized: {', '.join(flavour.put_back) or 'none'}", "", *_worst_lines(flavour.layers)]
        lines += [simulation_line(simulation) for simulation in flavour.simulations]
    if report.near_overflow:
        lines += ["", f"near the largest FP16 number (65504): {', '.join(report.near_overflow)}"]
    return "\n".join(lines)


def _pictures_line(report: Report) -> str:
    calibrated_with, measured_on = len(report.calibrated_with), len(report.measured_on)
    if report.calibrated_with == report.measured_on:
        return f"calibrated with and measured on one picture, {counted(report.views, 'view')}; give more pictures"
    return (
        f"calibrated with {counted(calibrated_with, 'picture')}, {counted(report.views, 'view')}; "
        f"measured on {counted(measured_on, 'other')}"
    )


def _goal_line(goal: Threshold) -> str:
    return f"goal: cosine {goal.cosine:.5f} of every view, {goal.token_cosine:.3f} of every token"


def _step_line(step: Step) -> str:
    seen = step.agreement
    note = "" if step.taken else "  rejected"
    cosines = f"{seen.lowest_cosine:>15.6f}{seen.mean_cosine:>15.6f}{seen.lowest_token_cosine:>15.6f}"
    return f"  {step.name:<20}{cosines}{note}"


def simulation_line(simulation: Simulation) -> str:
    """Say in one line what an engine of one mode will compute."""
    seen = simulation.agreement
    return (
        f"  {simulation.mode} simulated as TensorRT computes, {counted(simulation.views, 'view')}: lowest cosine "
        f"{seen.lowest_cosine:.6f}, worst token {seen.lowest_token_cosine:.6f}; {simulation.overflow} of "
        f"{simulation.sums} {simulation.numbers} sums overflow in FP16 (largest {simulation.largest:.0f} of 65504)"
    )


def _worst_lines(layers: Sequence[Layer], count: int = 5) -> list[str]:
    worst = sorted(layers, key=lambda layer: layer.error_before, reverse=True)[:count]
    width = max(len(layer.name) for layer in worst)
    lines = [f"  {'worst layers':<{width}}  error before   after"]
    return lines + [
        f"  {layer.name:<{width}}  {layer.error_before:>12.4f}  "
        + ("not quantized" if layer.put_back else f"{layer.error_after:.4f}")
        for layer in worst
    ]
