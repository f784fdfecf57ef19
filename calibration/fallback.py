"""Linears that INT8 hurts most are put back, one by one, until the graphs are good enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from uhd_edge.calibration.measure import Agreement
    from uhd_edge.calibration.ranges.plan import Plan
    from uhd_edge.runtime.bundles.manifest import Threshold


@dataclass(frozen=True)
class Settled:
    """The plan that holds the threshold, and what it measures."""

    plan: Plan
    agreement: Agreement


def put_back(
    plan: Plan,
    agreement: Agreement,
    harm: Mapping[str, float],
    threshold: Threshold,
    measure: Callable[[Plan], Agreement],
) -> Settled:
    """Leave linears as they are, the one with the most `harm` first, until `measure` reaches `threshold`.

    `agreement` is what `plan` measures. With every linear put back nothing is quantized any
    more; that is the end in any case.
    """
    for linear in sorted(harm, key=lambda name: harm[name], reverse=True):
        if agreement.reaches(threshold):
            break
        plan = plan.keeping(linear)
        agreement = measure(plan)
    return Settled(plan, agreement)
