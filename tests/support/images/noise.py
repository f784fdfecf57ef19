"""Pictures of noise, in which no two views are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray


def noise(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    width, height = size
    return np.random.default_rng(seed).integers(60, 196, (height, width, 3), dtype=np.uint8)


def photo(width: int, height: int) -> Image.Image:
    """Noise of every brightness. Each size has different noise."""
    pixels = np.random.default_rng(width * 4001 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)
