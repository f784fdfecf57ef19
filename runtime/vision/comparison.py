"""How far an engine's embeddings are from those of the reference, view by view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from uhd_edge.runtime.modes import Mode


@dataclass(frozen=True)
class ViewComparison:
    """One view of one picture.

    `cosine` is taken over all numbers of the view, `token_cosine` that of its worst token,
    number `worst_token`. `largest_error` is the largest absolute difference, `largest` the
    largest absolute number of the reference, for scale.
    """

    picture: str
    view: str
    mode: Mode
    cosine: float
    token_cosine: float
    worst_token: int
    largest_error: float
    largest: float


def compare_view(
    expected: NDArray[np.float32], given: NDArray[np.float32], *, picture: str, view: str, mode: Mode
) -> ViewComparison:
    """Compare embeddings [tokens, d_llm] of one view with those that are `expected`."""
    reference, tested = expected.astype(np.float64), given.astype(np.float64)
    by_token = row_cosines(reference, tested)
    worst = int(np.argmin(by_token))
    return ViewComparison(
        picture=picture,
        view=view,
        mode=mode,
        cosine=float(row_cosines(reference.reshape(1, -1), tested.reshape(1, -1))[0]),
        token_cosine=float(by_token[worst]),
        worst_token=worst,
        largest_error=float(np.abs(reference - tested).max()),
        largest=float(np.abs(reference).max()),
    )


def row_cosines(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the cosine of each row, [rows, numbers] twice -> [rows].

    Equal rows have 1, two rows of zeros too. A row of zeros and another row have 0, and rows
    with NaN or infinity have -1, so that no broken engine passes.
    """
    first, second = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = (first * second).sum(axis=1)
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    finite = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    return np.where((first == second).all(axis=1) & finite, 1.0, np.where(finite, cosines, -1.0))
