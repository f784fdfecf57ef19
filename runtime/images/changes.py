"""Whether a part of a picture has changed, for cameras that mostly show the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from uhd_edge.runtime.images.loading import load_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from uhd_edge.runtime.images.loading import ImageInput

CELLS = 16  # a side; a person in a corner changes a cell or two, a sensor's noise none


class ChangeDetector:
    """Compares pictures with the last one that counted as new."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None

    def is_new(self, image: ImageInput, least_change: float) -> bool:
        """Whether the mean of one of 16 x 16 cells differs by `least_change` grey levels (0 to 255) or more.

        The first picture is new. One that is not new is forgotten, so that slow changes add up.
        Raises `ImageError`.
        """
        grey = load_image(image).convert("L").resize((CELLS, CELLS), Image.Resampling.BOX)
        cells = np.asarray(grey, np.float32)
        if self._last is not None and np.abs(cells - self._last).max() < least_change:
            return False
        self._last = cells
        return True
