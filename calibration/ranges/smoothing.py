"""Move quantization difficulty from activations into weights (SmoothQuant, arXiv 2211.10438, section 4).

A few channels of a LayerNorm's output are often tens of times larger than the rest, and one
range for all of them leaves the rest only a few steps. Dividing the LayerNorm's weight and
bias by a factor per channel, and multiplying the rows of the following linears by it, evens
out the channels and changes nothing in exact arithmetic. The strength is chosen by
measurement for each site.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.calibration.ranges.layer_error import layer_errors, multiplied, overall, products, rounded_weights
from uhd_edge.calibration.ranges.ranges import full_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from uhd_edge.calibration.ranges.activations import Activations
    from uhd_edge.calibration.ranges.layer_error import Weights

STRENGTHS = (0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9)
MOST = 1e4  # factors beyond this, or below its inverse, only occur for channels that are nearly unused


@dataclass(frozen=True, eq=False)
class Smoothing:
    """The factors [K] of one site, and the strength they were computed with; 0 means no smoothing."""

    strength: float
    factors: NDArray[np.float32] | None


def choose_smoothing(
    seen: Activations,
    weights: Weights,
    unseen: NDArray[np.float32],
    strengths: Sequence[float] = STRENGTHS,
) -> Smoothing:
    """Try every strength, symmetric at full range; choose the least error on rows of `unseen` pictures [S, K]."""
    exact = products(unseen, weights)
    best, least = Smoothing(0.0, None), _error(seen, weights, unseen, exact)
    for strength in strengths:
        factors = smoothing_factors(seen.peaks, weights, strength)
        error = _error(seen.divided(factors), multiplied(weights, factors), unseen / factors, exact)
        if error < least:
            best, least = Smoothing(strength, factors), error
    return best


def smoothing_factors(peaks: NDArray[np.float32], weights: Weights, strength: float) -> NDArray[np.float32]:
    """Compute `peaks`**strength / (peaks of the weights)**(1 - strength), [K] (SmoothQuant, equation 4).

    The factors are normalized to a geometric mean of 1, so that smoothing pushes neither side
    out of the range of FP16. A channel that is always zero keeps the factor 1.
    """
    rows = np.max([np.abs(weight).max(axis=1) for weight in weights.values()], axis=0)
    used = (peaks > 0) & (rows > 0)
    logarithms = np.zeros(len(peaks))
    logarithms[used] = strength * np.log(peaks[used]) - (1 - strength) * np.log(rows[used])
    if used.any():
        logarithms[used] -= logarithms[used].mean()
    return np.exp(np.clip(logarithms, -np.log(MOST), np.log(MOST))).astype(np.float32)


def _error(seen: Activations, weights: Weights, unseen: NDArray[np.float32], exact: Weights) -> float:
    rounded = rounded_weights(weights, symmetric=True)
    return overall(layer_errors(unseen, rounded, exact, full_range(seen), symmetric=True).values())
