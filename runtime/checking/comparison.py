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
    largest absolute number of the reference, which it is to be seen against.
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
    by_token = _cosine(reference, tested)
    worst = int(np.argmin(by_token))
    return ViewComparison(
        picture=picture,
        view=view,
        mode=mode,
        cosine=float(_cosine(reference.reshape(1, -1), tested.reshape(1, -1))[0]),
        token_cosine=float(by_token[worst]),
        worst_token=worst,
        largest_error=float(np.abs(reference - tested).max()),
        largest=float(np.abs(reference).max()),
    )


def _cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """[rows, numbers] twice -> [rows]; two rows of zeros agree, a row of zeros and another do not."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    equal = (one == other).all(axis=1)
    products = (one * other).sum(axis=1)
    return np.where(equal, 1.0, np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0))
