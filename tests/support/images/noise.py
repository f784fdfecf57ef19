"""Noise, in which no view is like another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def noise(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    width, height = size
    return np.random.default_rng(seed).integers(60, 196, (height, width, 3), dtype=np.uint8)
