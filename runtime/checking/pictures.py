"""The pictures that an engine is compared on: the user's, or a few that are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.runtime.images.loading import ImageInput, load_image
from uhd_edge.runtime.images.synthetic_pictures import synthetic_pictures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from uhd_edge.runtime.bundles.bundle import Bundle


@dataclass(frozen=True)
class Picture:
    """An RGB image and what it is called in a report."""

    name: str
    image: Image.Image


def named_pictures(bundle: Bundle, images: Sequence[ImageInput]) -> list[Picture]:
    """Load `images`, or draw a few for the bundle when there are none; raises `ImageError`."""
    if not images:
        return [Picture(*drawn) for drawn in synthetic_pictures(bundle.manifest.preprocessing.scale_resolution)]
    return [Picture(_name(image, number), load_image(image)) for number, image in enumerate(images, start=1)]


def _name(image: ImageInput, number: int) -> str:
    return Path(image).name if isinstance(image, str | Path) else f"picture {number}"
