"""Photographs that may be copied by anyone; `photographs/SOURCES.txt` says where they are from."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from numpy.random import Generator

# The file, and the part of it that is taken: left, upper, right and lower edge, in shares of its sides.
# The fifth and the sixth are held out to measure on; no other part is of their files.
PARTS = (
    ("chelsea", (0.0, 0.0, 1.0, 1.0)),
    ("rocket", (0.0, 0.0, 1.0, 1.0)),
    ("coffee", (0.0, 0.0, 1.0, 1.0)),
    ("chelsea", (0.2, 0.0, 0.8, 0.7)),
    ("brick", (0.0, 0.0, 1.0, 1.0)),
    ("camera", (0.0, 0.0, 1.0, 1.0)),
    ("hubble", (0.0, 0.0, 1.0, 1.0)),
    ("coffee", (0.3, 0.1, 0.9, 0.9)),
)
BRIGHTEST, DARKEST = 1.15, 0.45


def open_photograph(random: Generator, number: int, width: int, height: int) -> Image.Image:
    """Open one of the photographs and crop it to `width` x `height`; every other one is lit otherwise, with noise."""
    name, part = PARTS[number % len(PARTS)]
    file = resources.files("uhd_edge.calibration.shipped") / "photographs" / f"{name}.jpg"
    with file.open("rb") as stream, Image.open(stream) as stored:
        whole = stored.convert("RGB")
    left, upper, right, lower = part
    whole_width, whole_height = whole.size
    cropped = whole.crop((left * whole_width, upper * whole_height, right * whole_width, lower * whole_height))
    picture = ImageOps.fit(cropped, (width, height), Image.Resampling.BICUBIC)
    if number % 2 == 0:
        return picture
    light = random.uniform(DARKEST, BRIGHTEST) * random.uniform(0.85, 1.0, 3)
    noise = random.normal(0, 6, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(picture) * light + noise, 0, 255).astype(np.uint8))
