"""Leave the worst linears unquantized, one at a time, until the graphs are accurate enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from uhd_edge.calibration.measure import Agreement
    from uhd_edge.calibration.ranges.plan import QuantizationPlan
    from uhd_edge.runtime.bundles.manifest import Threshold


@dataclass(frozen=True)
class Settled:
    """The final plan and its measured agreement."""

    plan: QuantizationPlan
    agreement: Agreement


def put_back(
    plan: QuantizationPlan,
    agreement: Agreement,
    harm: Mapping[str, float],
    threshold: Threshold,
    measure: Callable[[QuantizationPlan], Agreement],
) -> Settled:
    """Leave linears unquantized, those with the most `harm` first, until `measure` reaches `threshold`.

    `agreement` is the measured agreement of `plan`. Stops at the latest when no linear in
    `harm` is quantized any more.
    """
    for linear in sorted(harm, key=lambda name: harm[name], reverse=True):
        if agreement.reaches(threshold):
            break
        plan = plan.keeping(linear)
        agreement = measure(plan)
    return Settled(plan, agreement)
