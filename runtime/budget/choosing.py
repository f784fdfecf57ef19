"""Which of the ways to look at images is taken: the one that sees most within the budget.

Times are the costs, multiplied as the latest questions say, and the time that has passed. Laying
prompts out takes time too, which counts: with a long conversation it is not little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.conversation.request import DEFAULT_SHARE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from uhd_edge.runtime.answer import Plan
    from uhd_edge.runtime.budget.spread import Spread
    from uhd_edge.runtime.budget.ways import Plans, Way
    from uhd_edge.runtime.conversation.request import Budget


@dataclass(frozen=True)
class Expected:
    """What costs in milliseconds come to: `usual` times as much, and `upper` times for the share of a budget.

    `spent_ms` have passed before. `limit_ms` is the budget, infinite without one.
    """

    spent_ms: float
    usual: float
    upper: float
    limit_ms: float

    @classmethod
    def of(cls, spent_ms: float, budget: Budget | None, spread: Spread) -> Expected:
        """Of questions with this budget, as `spread` says."""
        if budget is None:
            return cls(spent_ms, spread.usual(), spread.upper(DEFAULT_SHARE), math.inf)
        return cls(spent_ms, spread.usual(), spread.upper(budget.share), budget.milliseconds)

    def usual_ms(self, costs_ms: float) -> float:
        """The usual time, what has passed included."""
        return self.spent_ms + self.usual * costs_ms

    def upper_ms(self, costs_ms: float) -> float:
        """The time that the share of questions keeps, what has passed included."""
        return self.spent_ms + self.upper * costs_ms

    def count(self, plan: Plan) -> Plan:
        """Return a plan of costs alone with the times to expect, and whether they are within the budget."""
        usual, upper = self.usual_ms(plan.predicted_ms), self.upper_ms(plan.predicted_ms)
        counted = replace(plan, predicted_ms=usual, upper_ms=upper)
        if self.limit_ms == math.inf:
            return counted
        return replace(counted, within_budget=upper <= self.limit_ms, too_noisy=usual <= self.limit_ms < upper)


@dataclass(frozen=True)
class Chosen:
    """A way, and its plan as it was when the way was chosen: after `spent_ms`, with `work_ms` to come by the costs."""

    way: Way
    plan: Plan
    spent_ms: float
    work_ms: float


def count_time(plans: Sequence[Plan], spent_ms: float, budget: Budget | None, spread: Spread) -> list[Plan]:
    """Make times of the costs of plans: with the time that was spent before, and as `spread` says; see `Plan`."""
    expected = Expected.of(spent_ms, budget, spread)
    return [expected.count(plan) for plan in plans]


def choose_plan(plans: Sequence[Plan]) -> Plan | None:
    """Pick the plan that sees most within the budget, else the quickest; None when there is none at all."""
    within = [plan for plan in plans if plan.within_budget is not False]
    if within:
        return max(within, key=resolution)
    return min(plans, key=lambda plan: plan.predicted_ms, default=None)


def choose_way(plans: Plans, ways: Sequence[Way], expected: Expected, spent: Callable[[], float]) -> Chosen | None:
    """Pick the way whose plan `choose_plan` would pick, and lay out few prompts for it; None when none fits.

    `ways` begin with the one that sees least. The least that most of them take is more than the budget already.
    """
    laid_out: dict[int, Plan | None] = {}
    for number in sorted(range(len(ways)), key=lambda number: ways[number].resolution, reverse=True):
        if expected.upper_ms(ways[number].least_ms) > expected.limit_ms:
            continue
        plan = laid_out[number] = plans.plan(ways[number])
        expected = replace(expected, spent_ms=spent())
        if plan is not None and expected.upper_ms(plan.predicted_ms) <= expected.limit_ms:
            return _chosen(ways[number], plan, expected)
    for number in sorted(range(len(ways)), key=lambda number: ways[number].least_ms):
        if ways[number].least_ms > min((plan.predicted_ms for plan in laid_out.values() if plan), default=math.inf):
            break
        if number not in laid_out:
            laid_out[number] = plans.plan(ways[number])
    fitting = {number: plan for number, plan in laid_out.items() if plan is not None}
    if not fitting:
        return None
    quickest = min(fitting, key=lambda number: (fitting[number].predicted_ms, number))
    return _chosen(ways[quickest], fitting[quickest], replace(expected, spent_ms=spent()))


def _chosen(way: Way, plan: Plan, expected: Expected) -> Chosen:
    return Chosen(way, expected.count(plan), expected.spent_ms, plan.predicted_ms)


def resolution(plan: Plan) -> tuple[int, int]:
    """How much a plan sees, to compare by: the views, then the vision tokens."""
    return plan.views, plan.vision_tokens
