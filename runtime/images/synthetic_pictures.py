"""Pictures to try an engine with where nobody has given any: drawn here, the same every time."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw


def synthetic_pictures(scale: int) -> list[tuple[str, Image.Image]]:
    """Draw a few pictures for views of `scale` pixels, by name.

    Together they give what slicing gives: a thumbnail alone, slices on a wide and on a tall
    grid. What is on them is coarse and fine, dark and bright; they are no photographs.
    """
    return [
        ("shapes", shapes(2 * scale + scale // 2, 2 * scale)),
        ("lines of text", _text(scale, 2 * scale + scale // 3)),
        ("gradient", _gradient(scale, scale)),
        ("noise", _noise(3 * scale // 2, scale)),
    ]


def shapes(width: int, height: int) -> Image.Image:
    """Draw forty coloured circles and squares with black outlines on a light ground, the same every time."""
    image = Image.new("RGB", (width, height), (236, 232, 220))
    draw = ImageDraw.Draw(image)
    random = np.random.default_rng(1)
    for _ in range(40):
        left, top = random.uniform(0, width), random.uniform(0, height)
        size = random.uniform(0.02, 0.25) * min(width, height)
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        box = (left, top, left + size, top + size)
        (draw.ellipse if random.integers(2) else draw.rectangle)(box, fill=colour, outline="black")
    return image


def _text(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    random = np.random.default_rng(2)
    for line in range(0, height, 12):
        letters = random.integers(ord("!"), ord("~"), max(1, width // 6))
        draw.text((2, line), "".join(map(chr, letters)), fill="black")
    return image


def _gradient(width: int, height: int) -> Image.Image:
    down, across = np.mgrid[0:height, 0:width]
    channels = (across / width, down / height, 1 - (across + down) / (width + height))
    return Image.fromarray((255 * np.stack(channels, axis=-1)).astype(np.uint8))


def _noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8))
