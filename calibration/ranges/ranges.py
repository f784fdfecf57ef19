"""The range of each site: everything that was seen, a percentile, or what loses least; whichever measures best."""

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
SHRUNK = tuple(np.linspace(0.4, 0.95, 12).tolist())  # shares of the full range that `mse` tries


def full_range(seen: Activations) -> Range:
    """Everything that was seen on any picture."""
    return Range(float(seen.lows.min()), float(seen.highs.max()), "max")


def choose_range(seen: Activations, weights: Weights, unseen: Activations, *, symmetric: bool) -> Range:
    """Try every method; the one whose linears have the least error on rows of `unseen` pictures wins.

    On the rows that a range was made of, a narrow one always looks better than it is. The most
    extreme rows of all pictures are among those measured on: without them percentiles won
    that clipped fc2 in a few views, and the worst view of uhd-tiny's lost three times as much
    while the mean stayed. The winner gets some room, because pictures to come go
    beyond those that were seen.
    """
    rows = np.concatenate([unseen.rows, seen.extremes])
    exact, rounded = products(rows, weights), rounded_weights(weights)
    best, least = full_range(seen), np.inf
    for span in _candidates(seen, unseen, symmetric=symmetric):
        error = overall(layer_errors(rows, rounded, exact, span, symmetric=symmetric).values())
        if error < least:
            best, least = span, error
    return Range(best.low * ROOM, best.high * ROOM, best.method)


def _candidates(seen: Activations, unseen: Activations, *, symmetric: bool) -> Iterator[Range]:
    full, other = full_range(seen), full_range(unseen)
    yield Range(min(full.low, other.low), max(full.high, other.high), "max")
    for percentile in PERCENTILES:
        low, high = np.percentile(seen.sample, [100 - percentile, percentile])
        yield Range(float(low), float(high), f"percentile {percentile}")
    yield _least_squares(seen.sample, full, symmetric=symmetric)


def _least_squares(sample: NDArray[np.float32], full: Range, *, symmetric: bool) -> Range:
    """Shrink the full range for as long as the rows themselves lose least by it."""
    shrunk = [Range(full.low * share, full.high * share, "mse") for share in SHRUNK]
    losses = [np.mean(np.square(round_activation(sample, span, symmetric=symmetric) - sample)) for span in shrunk]
    return shrunk[int(np.argmin(losses))]
