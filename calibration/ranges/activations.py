"""What is recorded of the inputs of the linears: extremes, and samples of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

EXTREME_ROWS = 64


@dataclass(frozen=True, eq=False)
class Activations:
    """The activations recorded at one site: `lows` and `highs` [K] are the extremes of each channel.

    `sample` [S, K] holds rows drawn at random, each with the same probability within its mode,
    and `extremes` [E, K] the rows with the largest magnitudes. Clipping affects these most,
    and they are too rare for a random sample to contain enough of them.
    """

    lows: NDArray[np.float32]
    highs: NDArray[np.float32]
    sample: NDArray[np.float32]
    extremes: NDArray[np.float32]

    @property
    def peaks(self) -> NDArray[np.float32]:
        """The largest magnitude of each channel, [K]."""
        return np.maximum(np.abs(self.lows), np.abs(self.highs))

    @property
    def rows(self) -> NDArray[np.float32]:
        """The rows that errors are measured on, [S + E, K]: sampled and extreme ones."""
        return np.concatenate([self.sample, self.extremes])

    def divided(self, factors: NDArray[np.float32]) -> Activations:
        """Return the activations with each channel divided by its factor; all factors must be positive."""
        return Activations(self.lows / factors, self.highs / factors, self.sample / factors, self.extremes / factors)


@dataclass(frozen=True)
class Recorded:
    """The activations of every site, and the largest magnitude of every linear's output, bias included.

    `embeddings` [tokens, d_llm] are those of the views, by their names.
    """

    sites: Mapping[str, Activations]
    outputs: Mapping[str, float]
    embeddings: Mapping[str, NDArray[np.float32]]

    @property
    def views(self) -> int:
        """The number of views, each counted in every mode it was seen in."""
        return len(self.embeddings)


def merge(one: Activations, other: Activations) -> Activations:
    """Join what was recorded at one site in two ways or at two times."""
    return Activations(
        lows=np.minimum(one.lows, other.lows),
        highs=np.maximum(one.highs, other.highs),
        sample=np.concatenate([one.sample, other.sample]),
        extremes=most_extreme(np.concatenate([one.extremes, other.extremes])),
    )


def most_extreme(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows of [S, K] with the largest magnitudes."""
    return rows[np.argsort(np.abs(rows).max(axis=1))[-EXTREME_ROWS:]]
