"""Where features lie, for a resampler: rows and columns of the position table, and the frequencies that tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SLOWEST = 10000.0  # the ratio of the fastest to the slowest frequency


def table_places(side: int) -> NDArray[np.float32]:
    """Row and column of every position id of a table of `side` x `side`: float32 [side * side, 2]."""
    return np.stack(np.divmod(np.arange(side * side), side), axis=1).astype(np.float32)


def frequencies(width: int) -> NDArray[np.float32]:
    """The frequencies of sine and cosine for one axis, float32 [width / 4], in radians per row or column."""
    count = width // 4
    return (SLOWEST ** -(np.arange(count) / count)).astype(np.float32)
