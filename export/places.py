"""Where patches and features lie, and the sines and cosines that tell it, for both torch and ONNX.

A *place* is a row and a column. A resampler's keys are told the place of their feature. In a MoonViT,
queries and keys *turn*: the numbers of a head are pairs, and each pair turns by the angle of its row or
its column (`Rope2DPosEmb` of moonshotai/MoonViT-SO-400M).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

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


def window_places(window: int, query: Literal["mean", "top-left"] | None = None) -> NDArray[np.float32]:
    """Row and column of every token within its window, float32 [window, 2].

    Attention sees differences of places alone, so those within the window are enough. With `query`, the
    one place [1, 2] of a query of that kind.
    """
    places = table_places(math.isqrt(window))
    return places if query is None else places[:1] if query == "top-left" else places.mean(axis=0, keepdims=True)


def halves_order(width: int, heads: int) -> NDArray[np.int64]:
    """Which number of a head comes where, int64 [width], when pairs are torn into two halves of a head.

    A MoonViT has the two numbers of a pair side by side, and pairs for columns and rows in turns. Here
    the first numbers of all pairs are followed by the second ones, and in each half columns are followed
    by rows. Then whole halves turn at once. Queries and keys in the same order have the same products.
    """
    head = width // heads
    order = np.arange(head).reshape(head // 4, 2, 2).transpose(2, 1, 0).reshape(-1)  # frequency, axis, part
    return (np.arange(heads)[:, None] * head + order).reshape(-1)


def angles(places: NDArray[np.float32], head: int) -> NDArray[np.float32]:
    """The angles by which the halves of a head turn at `places` [.., 2]: float32 [.., head / 2], columns first."""
    rows, columns = (places[..., axis, None] * frequencies(head) for axis in (0, 1))
    return np.concatenate((columns, rows), axis=-1)
