"""Leave the worst linears unquantized, as few as possible, until the graphs are accurate enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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

    `agreement` is the measured agreement of `plan`. The number of linears is first predicted,
    then narrowed down by measuring, so that a tower of hundreds of linears is measured a few
    times. If even all linears in `harm` are too few, all are left unquantized.
    """
    if agreement.reaches(threshold) or not harm:
        return Settled(plan, agreement)
    worst_first = sorted(harm, key=lambda name: harm[name], reverse=True)
    measured: dict[int, Agreement] = {0: agreement}
    too_few, enough = 0, len(worst_first) + 1
    count = predicted_count([harm[name] for name in worst_first], agreement, threshold)
    while enough - too_few > 1:
        measured[count] = measure(plan.keeping(*worst_first[:count]))
        if measured[count].reaches(threshold):
            enough = count
        else:
            too_few = count
        # Without a number that is enough, the next guess is twice as large.
        count = (too_few + enough) // 2 if enough <= len(worst_first) else min(2 * too_few, len(worst_first))
    last = min(enough, len(worst_first))
    return Settled(plan.keeping(*worst_first[:last]), measured[last])


def predicted_count(harm: Sequence[float], agreement: Agreement, threshold: Threshold) -> int:
    """Predict how many linears have to be left out, `harm` being their errors, the largest first; at least one.

    Errors of linears are independent, so what they do to an embedding adds up in squares, and
    so does one minus its cosine.
    """
    allowed = min(
        _share(1 - threshold.cosine, 1 - agreement.lowest_cosine),
        _share(1 - threshold.token_cosine, 1 - agreement.lowest_token_cosine),
    )
    squares = [error**2 for error in harm]
    left, whole = sum(squares), sum(squares)
    for count, square in enumerate(squares, start=1):
        left -= square
        if left <= allowed * whole:
            return count
    return len(squares)


def _share(allowed: float, loss: float) -> float:
    return allowed / loss if loss > 0 else 1.0
