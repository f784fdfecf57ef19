"""The steps that lead to one kind of INT8 graph, each measured end to end; those of FP8 are in `fp8.py`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.calibration.fallback import Settled, put_back
from uhd_edge.calibration.prepared import ERRORS_COST, Prepared
from uhd_edge.calibration.ranges.plan import QuantizationPlan
from uhd_edge.calibration.ranges.ranges import choose_range, full_range
from uhd_edge.calibration.ranges.rounding import Range
from uhd_edge.calibration.ranges.smoothing import Smoothing
from uhd_edge.calibration.trials import measure_plans, measure_until_below, simulate_plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.calibration.measure import Agreement
    from uhd_edge.calibration.ranges.linears import Site
    from uhd_edge.calibration.ranges.plan import Flavour
    from uhd_edge.calibration.simulation.simulate import Simulation

# A step may increase the loss by this factor: the few pictures measured on do not show what it gains on others.
WORTH = 1.25


# In the units of `Work`: six products of the sampled rows with every weight, and rounding.
RANGES_COST = 5.0


@dataclass(frozen=True)
class Step:
    """One step, the agreement measured after it, and whether it was accepted."""

    name: str
    agreement: Agreement
    taken: bool


@dataclass(frozen=True, eq=False)
class Outcome:
    """The final plan, the naive plan it started from, and the steps between them.

    `errors_before` and `errors` are those of every linear under the two, as if all were quantized.
    `simulations` is what an engine of the final plan will compute, for graphs that TensorRT compiles.
    """

    plan: QuantizationPlan
    naive: QuantizationPlan
    steps: tuple[Step, ...]
    errors_before: Mapping[str, float]
    errors: Mapping[str, float]
    simulations: tuple[Simulation, ...] = ()

    @property
    def agreement(self) -> Agreement:
        """The measured agreement of the final graphs."""
        return [step.agreement for step in self.steps if step.taken][-1]


def settle(prepared: Prepared, flavour: Flavour) -> Outcome:
    """Improve on naive INT8 step by step until the graphs reach the goal."""
    prepared.work.begin(f"{flavour.kind}: naive")
    naive = _naive(prepared)
    plan = without_connector(prepared, naive)
    measured = measure_plans(prepared, f"{flavour.kind} naive", [naive, plan], flavour)
    names = ("naive", "connector excluded")
    steps = [Step(name, agreement, taken=True) for name, agreement in zip(names, measured, strict=True)]
    for name, improve in (("smoothing", _smoothed), ("ranges", _ranged)):
        prepared.work.begin(f"{flavour.kind}: {name}")
        candidate = improve(prepared, plan, flavour)
        (agreement,) = measure_plans(prepared, f"{flavour.kind} {name}", [candidate], flavour)
        best = [step.agreement.lowest_cosine for step in steps if step.taken][-1]
        steps.append(Step(name, agreement, taken=1 - agreement.lowest_cosine <= (1 - best) * WORTH))
        plan = candidate if steps[-1].taken else plan
    prepared.work.begin(f"{flavour.kind}: layers excluded")
    before, after = (measured_errors(prepared, one, flavour, name) for name, one in (("naive", naive), ("final", plan)))
    settled = exclude_worst(prepared, plan, after, flavour, steps)
    steps.append(Step("layers excluded", settled.agreement, taken=True))
    simulations: tuple[Simulation, ...] = ()
    if flavour.symmetric:
        prepared.work.begin(f"{flavour.kind}: simulation")
        simulations = simulate_plan(prepared, settled.plan, flavour)
    return Outcome(settled.plan, naive, tuple(steps), before, after, simulations)


def exclude_worst(
    prepared: Prepared,
    plan: QuantizationPlan,
    errors: Mapping[str, float],
    flavour: Flavour,
    steps: list[Step],
) -> Settled:
    """Leave out the worst linears that `plan` still quantizes, until the goal is reached."""
    reached = [step.agreement for step in steps if step.taken][-1]
    harm = {name: error for name, error in errors.items() if name not in plan.kept}
    goal = prepared.goal(flavour)
    worst_views = [step.agreement.worst_view for step in reversed(steps)]

    def measure(candidate: QuantizationPlan) -> Agreement:
        name = f"{flavour.kind} {len(candidate.kept) - len(plan.kept)} excluded"
        return measure_until_below(prepared, name, candidate, flavour, worst_views)

    settled = put_back(plan, reached, harm, goal, measure)
    if settled.agreement.reaches(goal) or not harm:
        return settled
    # The last trial ended at the first view below the goal; the report is about all views.
    (agreement,) = measure_plans(prepared, f"{flavour.kind} all excluded", [settled.plan], flavour)
    return Settled(settled.plan, agreement)


def measured_errors(prepared: Prepared, plan: QuantizationPlan, flavour: Flavour, name: str) -> dict[str, float]:
    """Measure the error of every linear under `plan`, which is kept under `name`."""
    name = f"{flavour.kind} errors {name}"
    if prepared.saved.has(name):
        prepared.work.expect(-ERRORS_COST)
    errors: dict[str, float] = prepared.saved.value(name, lambda: prepared.errors(plan, flavour))
    return errors


def _naive(prepared: Prepared) -> QuantizationPlan:
    ranges = {site.name: full_range(prepared.seen.sites[site.name]) for site in prepared.sites}
    return QuantizationPlan({site.name: Smoothing(0.0, None) for site in prepared.sites}, ranges)


def without_connector(prepared: Prepared, plan: QuantizationPlan) -> QuantizationPlan:
    """Leave the connector unquantized, whatever its error.

    A layer of the tower adds to a residual stream, which dilutes its rounding error. The
    connector's rounding error reaches the embeddings undiluted, or amplified by the next
    product: in uhd-tiny it causes three quarters of the total change. Quantizing it
    would save little: it processes a fourth of the tokens, once, which is a hundredth of the work.
    """
    return replace(plan, kept=(*plan.kept, *prepared.connector))


def _smoothed(prepared: Prepared, plan: QuantizationPlan, flavour: Flavour) -> QuantizationPlan:  # noqa: ARG001  # the same for both kinds
    smoothing = {
        site.name: prepared.smoothing[site.name] if _is_quantized(site, plan) else plan.smoothing[site.name]
        for site in prepared.sites
    }
    ranges = {site.name: full_range(prepared.activations(site, smoothing[site.name])) for site in prepared.sites}
    return replace(plan, smoothing=smoothing, ranges=ranges)


def _ranged(prepared: Prepared, plan: QuantizationPlan, flavour: Flavour) -> QuantizationPlan:
    def choose(site: Site) -> tuple[float, float, str]:
        smoothing = plan.smoothing[site.name]
        chosen = choose_range(
            prepared.activations(site, smoothing),
            prepared.smoothed_weights(site, smoothing),
            prepared.others(site, smoothing),
            symmetric=flavour.symmetric,
        )
        prepared.work.done(RANGES_COST / len(prepared.sites))
        return chosen.low, chosen.high, chosen.method

    name, quantized = f"{flavour.kind} chosen ranges", [site for site in prepared.sites if _is_quantized(site, plan)]
    if prepared.saved.has(name):
        prepared.work.expect(-RANGES_COST)
    chosen = prepared.saved.value(name, lambda: {site.name: choose(site) for site in quantized})
    return replace(plan, ranges={**plan.ranges, **{name: Range(*values) for name, values in chosen.items()}})


def _is_quantized(site: Site, plan: QuantizationPlan) -> bool:
    return any(linear.name not in plan.kept for linear in site.linears)
