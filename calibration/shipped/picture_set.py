"""The pictures that come with the package: a few photographs, and drawings of what else devices look at.

Their ranges serve where nobody has better ones. A device that looks at something of its own
kind is calibrated better with its own pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.calibration.shipped.charts import draw_chart
from uhd_edge.calibration.shipped.documents import draw_document
from uhd_edge.calibration.shipped.maps import draw_map
from uhd_edge.calibration.shipped.patterns import draw_pattern
from uhd_edge.calibration.shipped.photographs import open_photograph
from uhd_edge.calibration.shipped.scenes import draw_scene
from uhd_edge.calibration.shipped.screens import draw_screen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.random import Generator
    from PIL import Image

    # (random, number of this kind, width, height) -> RGB picture of that size
    Draw = Callable[[Generator, int, int, int], Image.Image]


def _photograph(random: Generator, number: int, width: int, height: int) -> Image.Image:
    return open_photograph(random, 2 * number, width, height)


def _other_photograph(random: Generator, number: int, width: int, height: int) -> Image.Image:
    return open_photograph(random, 2 * number + 1, width, height)


def _figure(random: Generator, number: int, width: int, height: int) -> Image.Image:
    return (draw_map if number % 2 else draw_chart)(random, number, width, height)


# Seven of them, so that pictures held out at regular distances are of every kind.
KINDS: tuple[tuple[str, Draw], ...] = (
    ("photograph", _photograph),
    ("document", draw_document),
    ("scene", draw_scene),
    ("screen", draw_screen),
    ("photograph", _other_photograph),
    ("figure", _figure),
    ("pattern", draw_pattern),
)

# Width and height in sides of a view. An area above 1 is cut into slices, which is the last of every kind.
WHOLE = ((1.0, 1.0), (1.3, 0.75), (0.7, 1.4), (0.9, 0.8), (0.6, 1.0), (1.6, 0.6))
SLICED = ((1.5, 1.0), (1.2, 1.6), (1.4, 1.4), (2.0, 1.2), (1.0, 1.9), (1.9, 1.0), (2.0, 2.0))
OF_EACH = 4

COUNT = OF_EACH * len(KINDS)


def write_pictures(folder: Path, side: int) -> list[Path]:
    """Write the pictures as PNG files into `folder`, for views of `side` x `side` pixels, the same every time."""
    folder.mkdir(exist_ok=True)  # a run that was interrupted has written the same ones
    files = []
    for index in range(COUNT):
        number, kind = divmod(index, len(KINDS))
        name, draw = KINDS[kind]
        wide, high = SLICED[kind] if number == OF_EACH - 1 else WHOLE[(index + number) % len(WHOLE)]
        random = np.random.default_rng(index)
        picture = draw(random, number, round(wide * side), round(high * side))
        files.append(folder / f"{index + 1:02}-{name}.png")
        picture.save(files[-1], compress_level=1)
    return files
