"""The rounding error of linears, measured on the rows sampled at their site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from uhd_edge.calibration.ranges.fp8 import fp8_scale, round_to_fp8
from uhd_edge.calibration.ranges.nvfp4 import nvfp4_scale, round_to_nvfp4
from uhd_edge.calibration.ranges.pairs import round_pairs
from uhd_edge.calibration.ranges.rounding import round_activation, round_weight

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from uhd_edge.calibration.ranges.rounding import Range

Weights: TypeAlias = "Mapping[str, NDArray[np.float32]]"


def products(rows: NDArray[np.float32], weights: Weights) -> dict[str, NDArray[np.float32]]:
    """Multiply `rows` [S, in] by each weight in FP32 -> [S, out]; neither smoothing nor ranges change the result."""
    return {name: rows @ weight for name, weight in weights.items()}


def rounded_weights(weights: Weights, *, symmetric: bool) -> dict[str, NDArray[np.float32]]:
    """Return the weights [in, out] of linears after quantizing and dequantizing; they do not depend on ranges.

    Beside asymmetric activations, which are uint8, they are limited in pairs (see `pairs.py`).
    """
    rounded = round_weight if symmetric else round_pairs
    return {name: rounded(weight) for name, weight in weights.items()}


def rounded_to_fp8(weights: Weights) -> dict[str, NDArray[np.float32]]:
    """Return the weights [in, out] of a site's linears after quantizing and dequantizing to FP8, with one scale."""
    scale = fp8_scale(max(float(np.abs(weight).max()) for weight in weights.values()))
    return {name: round_to_fp8(weight, scale) for name, weight in weights.items()}


def rounded_to_nvfp4(weights: Weights) -> dict[str, NDArray[np.float32]]:
    """Return the weights [in, out] of a site's linears after rounding to NVFP4, with one scale of the tensors."""
    scale = nvfp4_scale(max(float(np.abs(weight).max()) for weight in weights.values()))
    return {name: round_to_nvfp4(weight.T, scale).T for name, weight in weights.items()}


def layer_errors(
    rows: NDArray[np.float32], rounded: Weights, exact: Weights, span: Range, *, symmetric: bool
) -> dict[str, float]:
    """Compute the error of each linear: the size of the INT8 error relative to the size of the exact product.

    `rows` [S, in] are the inputs, quantized with the range `span`; `rounded` are the
    `rounded_weights` [in, out] of the linears by name, `exact` their `products` [S, out].
    """
    return product_errors(round_activation(rows, span, symmetric=symmetric), rounded, exact)


def product_errors(
    rows: NDArray[np.float32], rounded: Weights, exact: Weights, shifts: Weights | None = None
) -> dict[str, float]:
    """Compute the error of each linear as `layer_errors` does, of `rows` [S, in] that are rounded already.

    `shifts` [out] are added to the products of the linears that they name.
    """
    added = shifts or {}
    return {
        name: _share(rows @ weight + added.get(name, np.float32(0)) - exact[name], exact[name])
        for name, weight in rounded.items()
    }


def overall(errors: Iterable[float]) -> float:
    """Combine the errors of several linears into one number: their root mean square."""
    return float(np.sqrt(np.mean(np.square(list(errors)))))


def multiplied(weights: Weights, factors: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Multiply the rows of each weight [in, out] by `factors` [in]."""
    return {name: weight * factors[:, None] for name, weight in weights.items()}


def _share(change: NDArray[np.floating[Any]], whole: NDArray[np.floating[Any]]) -> float:
    """Weight rows by the fourth power of their change: ruining a few tokens is worse than blurring all of them."""
    size = float(np.mean(np.square(whole, dtype=np.float64)))
    rows = np.mean(np.square(change, dtype=np.float64), axis=1)
    return float(np.sqrt(np.sqrt(np.mean(np.square(rows))) / size)) if size else 0.0
