"""What a bundle's calibration measured of its INT8 and FP8 graphs, and whether that is enough to take them unasked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, ValidationError

from uhd_edge.engines.errors import EngineRefusedError
from uhd_edge.runtime.bundles.how_to_calibrate import how_to_calibrate
from uhd_edge.runtime.bundles.manifest import GraphKind, Threshold

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle


@dataclass(frozen=True)
class Int8Verdict:
    """Whether a calibration verified the INT8 graphs of one kind, and the reason."""

    verified: bool
    reason: str


class _Agreement(BaseModel):
    lowest_cosine: float
    lowest_token_cosine: float


class _Step(BaseModel):
    agreement: _Agreement
    taken: bool


class _Simulation(BaseModel):
    overflow: int


class _Flavour(BaseModel):
    goal: Threshold | None = None
    steps: Annotated[tuple[_Step, ...], Field(min_length=1)]
    simulations: tuple[_Simulation, ...] = ()


class _Report(BaseModel):
    """The part of `calibration.json` that the verdict needs."""

    calibrated_with: tuple[str, ...]
    measured_on: Annotated[tuple[str, ...], Field(min_length=1)]
    goal: Threshold
    flavours: dict[GraphKind, _Flavour]
    shipped_pictures: bool = False


def int8_verdict(bundle: Bundle, kind: GraphKind) -> Int8Verdict:
    """Judge the INT8 graphs of `kind` by what their calibration measured on pictures it had held out.

    They are verified if the lowest cosines reach the calibration's own goal and the bundle's threshold.
    """
    if bundle.manifest.calibration is None:
        return Int8Verdict(False, "no calibration verified its INT8")
    report = _read(bundle)
    if report is None or kind not in report.flavours:
        return Int8Verdict(False, f"{bundle.manifest.calibration} does not tell how exact its INT8 is; calibrate again")
    if report.measured_on == report.calibrated_with:
        return Int8Verdict(
            False, "its INT8 was measured on no other picture than the one it was calibrated with; give more pictures"
        )
    flavour = report.flavours[kind]
    taken = [step.agreement for step in flavour.steps if step.taken]
    threshold: Threshold = getattr(bundle.manifest.thresholds, kind.partition("-")[0])
    return _judge(taken[-1] if taken else None, report, flavour.goal or report.goal, threshold)


def check_sums(bundle: Bundle, kind: GraphKind) -> None:
    """Raise `EngineRefusedError` if engines of the calibrated graphs of `kind` would overflow in FP16.

    They would if an earlier version calibrated it, which gave weights a scale for each output channel, or if
    its calibration simulated sums that overflow. Of a bundle without a calibration's report nothing is known.
    """
    report = _read(bundle)
    flavour = report.flavours.get(kind) if report else None
    if flavour is None or (flavour.simulations and not any(one.overflow for one in flavour.simulations)):
        return
    numbers = kind.partition("-")[0].upper()
    raise EngineRefusedError(
        f"{bundle.path}: the {numbers} sums of its engines would overflow in FP16, for "
        f"{'its calibration saw it' if flavour.simulations else 'an earlier version calibrated it'}; "
        f"calibrate it again: {how_to_calibrate(bundle.manifest, kind, bundle.path)}"
    )


def _read(bundle: Bundle) -> _Report | None:
    if bundle.manifest.calibration is None:
        return None
    try:
        return _Report.model_validate_json((bundle.path / bundle.manifest.calibration).read_bytes())
    except (OSError, ValidationError):
        return None


def _judge(final: _Agreement | None, report: _Report, goal: Threshold, threshold: Threshold) -> Int8Verdict:
    least = max(goal.cosine, threshold.cosine)
    least_token = max(goal.token_cosine, threshold.token_cosine)
    pictures = f"{len(report.measured_on)} picture{'s' if len(report.measured_on) > 1 else ''} held out"
    if report.shipped_pictures:
        pictures += " of uhd-edge's own"
    if final is None or not (final.lowest_cosine >= least and final.lowest_token_cosine >= least_token):
        return Int8Verdict(False, f"its calibration missed its goal, cosine {least:.5f}, on the {pictures}")
    return Int8Verdict(True, f"its calibration saw a lowest cosine of {final.lowest_cosine:.5f} on the {pictures}")
