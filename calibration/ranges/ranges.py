"""Choose the range of each site: the full range, unless a percentile or least squares measures clearly better."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.calibration.ranges.layer_error import layer_errors, overall, products, rounded_weights
from uhd_edge.calibration.ranges.rounding import Range, round_activation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from uhd_edge.calibration.ranges.activations import Activations
    from uhd_edge.calibration.ranges.layer_error import Weights

PERCENTILES = (99.999, 99.99, 99.9)
ROOM = 1.05
# A narrower range must lower the error on unseen pictures by this factor. They are few, and of the same kind as those
# seen: what a narrow range clips of other pictures, they do not show. Without this, a former uhd-tiny lost a third more
# on other scenes when it was calibrated on three of them, and a random tower of width 384 nearly twice as much on
# charts.
WORTH = 1.25
SHRUNK = tuple(np.linspace(0.4, 0.95, 12).tolist())  # fractions of the full range that `mse` tries


def full_range(seen: Activations) -> Range:
    """Return the range of all values seen on any picture."""
    return Range(float(seen.lows.min()), float(seen.highs.max()), "max")


def choose_range(seen: Activations, weights: Weights, unseen: Activations, *, symmetric: bool) -> Range:
    """Choose the method whose linears have the least error on `unseen` pictures; see `WORTH` for narrower ones.

    On the rows it was made from, a narrow range always looks better than it is. Errors are also
    measured on the most extreme rows of all pictures. Without them, percentiles won that
    clipped fc2 in a few views: the worst view of a former uhd-tiny lost three times as much, while the
    mean was unchanged. The chosen range gets some room, because new pictures exceed the ranges
    of those seen.
    """
    rows = np.concatenate([unseen.rows, seen.extremes])
    exact, rounded = products(rows, weights), rounded_weights(weights, symmetric=symmetric)

    def error(span: Range) -> float:
        return overall(layer_errors(rows, rounded, exact, span, symmetric=symmetric).values())

    best, *narrower = _candidates(seen, unseen, symmetric=symmetric)
    least = error(best) / WORTH
    for span in narrower:
        if (found := error(span)) < least:
            best, least = span, found
    return Range(best.low * ROOM, best.high * ROOM, best.method)


def _candidates(seen: Activations, unseen: Activations, *, symmetric: bool) -> Iterator[Range]:
    """The full range of all pictures first, then narrower ones."""
    full, other = full_range(seen), full_range(unseen)
    yield Range(min(full.low, other.low), max(full.high, other.high), "max")
    for percentile in PERCENTILES:
        low, high = np.percentile(seen.sample, [100 - percentile, percentile])
        yield Range(float(low), float(high), f"percentile {percentile}")
    yield _least_squares(seen.sample, full, symmetric=symmetric)


def _least_squares(sample: NDArray[np.float32], full: Range, *, symmetric: bool) -> Range:
    """Shrink the full range by the factor that gives the rows the least squared error."""
    shrunk = [Range(full.low * share, full.high * share, "mse") for share in SHRUNK]
    losses = [np.mean(np.square(round_activation(sample, span, symmetric=symmetric) - sample)) for span in shrunk]
    return shrunk[int(np.argmin(losses))]
