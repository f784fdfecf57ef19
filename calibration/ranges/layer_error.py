"""What INT8 does to one linear, on the rows sampled at its site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.calibration.ranges.rounding import round_activation, round_weight

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from uhd_edge.calibration.ranges.rounding import Range

    Weights = Mapping[str, NDArray[np.float32]]


def products(rows: NDArray[np.float32], weights: Weights) -> dict[str, NDArray[np.float32]]:
    """What each linear makes of `rows` [S, in] in FP32, [S, out]; neither smoothing nor a range changes it."""
    return {name: rows @ weight for name, weight in weights.items()}


def rounded_weights(weights: Weights) -> dict[str, NDArray[np.float32]]:
    """The weights [in, out] of linears after a trip through INT8; no range changes them."""
    return {name: round_weight(weight) for name, weight in weights.items()}


def layer_errors(
    rows: NDArray[np.float32], rounded: Weights, exact: Weights, span: Range, *, symmetric: bool
) -> dict[str, float]:
    """The error of each linear: the size of what INT8 changes, as a share of the product's own size.

    `rows` [S, in] are what flows in, of the range `span`; `rounded` are the `rounded_weights`
    [in, out] of the linears by name, `exact` their `products`.
    """
    levels = round_activation(rows, span, symmetric=symmetric)
    return {name: _share(levels @ weight - exact[name], exact[name]) for name, weight in rounded.items()}


def overall(errors: Iterable[float]) -> float:
    """Several linears' errors as one number."""
    return float(np.sqrt(np.mean(np.square(list(errors)))))


def multiplied(weights: Weights, factors: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Each weight [in, out] with its rows multiplied by `factors` [in]."""
    return {name: weight * factors[:, None] for name, weight in weights.items()}


def _share(change: NDArray[np.floating[Any]], whole: NDArray[np.floating[Any]]) -> float:
    """Take the fourth power of each row's change: a range that ruins a few tokens is worse than one that blurs all."""
    size = float(np.mean(np.square(whole, dtype=np.float64)))
    rows = np.mean(np.square(change, dtype=np.float64), axis=1)
    return float(np.sqrt(np.sqrt(np.mean(np.square(rows))) / size)) if size else 0.0
