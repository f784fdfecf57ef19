"""An image with a limit of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uhd_edge.runtime.images.loading import ImageInput


@dataclass(frozen=True, eq=False)
class LimitedImage:
    """An image to ask about, cut into at most `max_slices` slices; 1 is its thumbnail alone.

    Where the question allows fewer slices, there are fewer. Beside a detailed image, others of which
    an impression is enough cost less this way.
    """

    source: ImageInput
    max_slices: int = 1
