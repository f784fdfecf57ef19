"""What rounding takes from the output of a linear on average, so that its bias can give it back.

Part of what rounding does to an output channel is the same in every token. Other errors partly cancel, this part adds
up. The bias is changed by its mean over activations (Nagel et al. 2019, arXiv 1906.04721, equation 1 and appendix D),
which costs nothing at run time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from uhd_edge.calibration.ranges.layer_error import Weights


def mean_losses(
    rows: NDArray[np.float32], levels: NDArray[np.float32], weights: Weights, rounded: Weights
) -> dict[str, NDArray[np.float32]]:
    """Compute the mean of exact minus rounded products of each linear, [out], by the linears' names.

    `rows` [S, in] are the inputs and `levels` [S, in] the same after rounding; `weights` and `rounded` are the
    weights [in, out] before and after.
    """
    # The mean of products is the product of the mean, which is one row.
    exact, tested = (values.mean(axis=0, dtype=np.float64) for values in (rows, levels))
    return {name: (exact @ weights[name] - tested @ weight).astype(np.float32) for name, weight in rounded.items()}
