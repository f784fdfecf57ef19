"""The steps that lead to one kind of INT8 graph, each measured end to end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.calibration.fallback import put_back
from uhd_edge.calibration.graphs.graph_files import int8_names, write_int8
from uhd_edge.calibration.measure import compare
from uhd_edge.calibration.ranges.layer_error import layer_errors, multiplied, products, rounded_weights
from uhd_edge.calibration.ranges.plan import QuantizationPlan
from uhd_edge.calibration.ranges.ranges import choose_range, full_range
from uhd_edge.calibration.ranges.smoothing import Smoothing
from uhd_edge.runtime.bundles.manifest import Threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.calibration.graphs.graph_files import FullWeights
    from uhd_edge.calibration.measure import Agreement, Measurement
    from uhd_edge.calibration.ranges.activations import Activations, Recorded
    from uhd_edge.calibration.ranges.linears import Site
    from uhd_edge.calibration.ranges.plan import Flavour
    from uhd_edge.calibration.ranges.rounding import Range
    from uhd_edge.runtime.bundles.bundle import Bundle

# The threshold must hold on new pictures, so this share of the loss it allows is kept in reserve.
RESERVE = 0.2

TOWER = "vision_tower."  # prefix of the names of its linears

# A step may increase the loss by this factor: the few pictures measured on do not show what it gains on others.
WORTH = 1.25


@dataclass(frozen=True, eq=False)
class Prepared:
    """The inputs for both kinds of INT8 graph; `folder` is for temporary files, `exact` holds the FP32 embeddings."""

    bundle: Bundle
    folder: Path
    sites: Sequence[Site]
    weights: FullWeights
    seen: Recorded
    unseen: Recorded
    smoothing: Mapping[str, Smoothing]
    measurement: Measurement
    exact: Mapping[str, NDArray[np.float32]]
    cosine: float = 0.0

    @property
    def goal(self) -> Threshold:
        """The required agreement: the bundle's threshold plus a reserve, or `cosine` if that is higher."""
        asked = self.bundle.manifest.thresholds.int8
        cosine = max(_stricter(asked.cosine), self.cosine)
        return Threshold(cosine=cosine, token_cosine=_stricter(asked.token_cosine))

    def activations(self, site: Site, smoothing: Smoothing) -> Activations:
        """Return the smoothed activations of `site` on the calibration pictures."""
        return _divided(self.seen.sites[site.name], smoothing)

    def others(self, site: Site, smoothing: Smoothing) -> Activations:
        """Return the smoothed activations of `site` on the pictures to measure on."""
        return _divided(self.unseen.sites[site.name], smoothing)

    def smoothed_weights(self, site: Site, smoothing: Smoothing) -> dict[str, NDArray[np.float32]]:
        """Return the smoothed weights [in, out] of the linears of `site`."""
        weights = self.weights.read_site(site)
        return weights if smoothing.factors is None else multiplied(weights, smoothing.factors)

    def errors(self, plan: QuantizationPlan, *, symmetric: bool) -> dict[str, float]:
        """Measure the error of every linear under `plan` on unseen rows, as if all were quantized."""
        errors: dict[str, float] = {}
        for site in self.sites:
            smoothing = plan.smoothing[site.name]
            rows, weights = self.others(site, smoothing).sample, self.smoothed_weights(site, smoothing)
            exact, rounded = products(rows, weights), rounded_weights(weights)
            errors.update(layer_errors(rows, rounded, exact, plan.ranges[site.name], symmetric=symmetric))
        return errors

    @property
    def connector(self) -> list[str]:
        """The names of the connector's linears."""
        return [linear.name for site in self.sites for linear in site.linears if not linear.name.startswith(TOWER)]


@dataclass(frozen=True)
class Step:
    """One step, the agreement measured after it, and whether it was accepted."""

    name: str
    agreement: Agreement
    taken: bool


@dataclass(frozen=True, eq=False)
class Outcome:
    """The final plan, the naive plan it started from, and the steps between them."""

    plan: QuantizationPlan
    naive: QuantizationPlan
    steps: tuple[Step, ...]

    @property
    def agreement(self) -> Agreement:
        """The measured agreement of the final graphs."""
        return [step.agreement for step in self.steps if step.taken][-1]


def settle(prepared: Prepared, flavour: Flavour, progress: Callable[[str], None]) -> Outcome:
    """Improve on naive INT8 step by step until the graphs reach the goal."""

    def measure(plan: QuantizationPlan) -> Agreement:
        return _measure(prepared, plan, flavour)

    progress(f"{flavour.kind}: naive")
    naive = _naive(prepared)
    plan = _without_connector(prepared, naive)
    steps = [Step("naive", measure(naive), taken=True), Step("connector excluded", measure(plan), taken=True)]
    for name, improve in (("smoothing", _smoothed), ("ranges", _ranged)):
        progress(f"{flavour.kind}: {name}")
        candidate = improve(prepared, plan, symmetric=flavour.symmetric)
        agreement = measure(candidate)
        best = [step.agreement.lowest_cosine for step in steps if step.taken][-1]
        steps.append(Step(name, agreement, taken=1 - agreement.lowest_cosine <= (1 - best) * WORTH))
        plan = candidate if steps[-1].taken else plan
    progress(f"{flavour.kind}: layers excluded")
    reached = [step.agreement for step in steps if step.taken][-1]
    settled = put_back(plan, reached, _harm(prepared, plan, flavour), prepared.goal, measure)
    steps.append(Step("layers excluded", settled.agreement, taken=True))
    return Outcome(settled.plan, naive, tuple(steps))


def _measure(prepared: Prepared, plan: QuantizationPlan, flavour: Flavour) -> Agreement:
    trial = prepared.folder / "trial"
    trial.mkdir(exist_ok=True)
    names = {name: name for name in int8_names(prepared.bundle, flavour)}
    graphs = write_int8(prepared.bundle, plan, flavour, trial, names)
    agreement = compare(prepared.exact, prepared.measurement.embed(graphs, flavour.products))
    for file in trial.iterdir():
        file.unlink()
    return agreement


def _naive(prepared: Prepared) -> QuantizationPlan:
    ranges = {site.name: full_range(prepared.seen.sites[site.name]) for site in prepared.sites}
    return QuantizationPlan({site.name: Smoothing(0.0, None) for site in prepared.sites}, ranges)


def _without_connector(prepared: Prepared, plan: QuantizationPlan) -> QuantizationPlan:
    """Leave the connector unquantized, whatever its error.

    A layer of the tower adds to a residual stream, which dilutes its rounding error. The
    connector's rounding error reaches the embeddings undiluted, or amplified by the next
    product: in uhd-tiny it causes seven eighths of the total change, though its first linear
    has the smallest error of all linears. Quantizing it would save little: it processes a
    fourth of the tokens, once, which is a hundredth of the work.
    """
    return replace(plan, kept=(*plan.kept, *prepared.connector))


def _smoothed(prepared: Prepared, plan: QuantizationPlan, *, symmetric: bool) -> QuantizationPlan:  # noqa: ARG001  # the same for both kinds
    smoothing = {
        site.name: prepared.smoothing[site.name] if _is_quantized(site, plan) else plan.smoothing[site.name]
        for site in prepared.sites
    }
    ranges = {site.name: full_range(prepared.activations(site, smoothing[site.name])) for site in prepared.sites}
    return replace(plan, smoothing=smoothing, ranges=ranges)


def _ranged(prepared: Prepared, plan: QuantizationPlan, *, symmetric: bool) -> QuantizationPlan:
    def choose(site: Site) -> Range:
        smoothing = plan.smoothing[site.name]
        return choose_range(
            prepared.activations(site, smoothing),
            prepared.smoothed_weights(site, smoothing),
            prepared.others(site, smoothing),
            symmetric=symmetric,
        )

    quantized = [site for site in prepared.sites if _is_quantized(site, plan)]
    return replace(plan, ranges={**plan.ranges, **{site.name: choose(site) for site in quantized}})


def _is_quantized(site: Site, plan: QuantizationPlan) -> bool:
    return any(linear.name not in plan.kept for linear in site.linears)


def _harm(prepared: Prepared, plan: QuantizationPlan, flavour: Flavour) -> dict[str, float]:
    """Measure the error of each linear that `plan` still quantizes."""
    errors = prepared.errors(plan, symmetric=flavour.symmetric)
    return {name: error for name, error in errors.items() if name not in plan.kept}


def _divided(seen: Activations, smoothing: Smoothing) -> Activations:
    return seen if smoothing.factors is None else seen.divided(smoothing.factors)


def _stricter(share: float) -> float:
    return 1 - (1 - share) * (1 - RESERVE)
