"""Maps: blocks, parks, a river and roads with names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from uhd_edge.calibration.shipped.lettering import font, words

if TYPE_CHECKING:
    from numpy.random import Generator

LAND, PARK, WATER = (240, 236, 226), (190, 222, 170), (160, 200, 235)
BUILDING, ROAD, EDGE, MAIN = (218, 206, 196), (255, 255, 255), (170, 170, 170), (250, 214, 120)
NAME = (60, 60, 70)


def draw_map(random: Generator, number: int, width: int, height: int) -> Image.Image:  # noqa: ARG001  # as all kinds
    """Draw the map of a part of a town."""
    drawn = Image.new("RGB", (width, height), LAND)
    draw = ImageDraw.Draw(drawn)
    shortest = min(width, height)
    for _ in range(40):
        x, y = random.uniform(0, width), random.uniform(0, height)
        w, h = random.uniform(0.03, 0.12, 2) * shortest
        draw.rectangle((x, y, x + w, y + h), fill=BUILDING if random.random() < 0.8 else PARK, outline=EDGE)
    _draw_curve(draw, random, (width, height), WATER, 0.07 * shortest)
    for road in range(7):
        broad = 0.018 * shortest * (2 if road < 2 else 1)
        turns = _draw_curve(draw, random, (width, height), MAIN if road < 2 else ROAD, broad)
        x, y = turns[len(turns) // 2]
        draw.text((x, y), words(random, 1).title(), fill=NAME, font=font(shortest / 26))
    return drawn


def _draw_curve(
    draw: ImageDraw.ImageDraw, random: Generator, size: tuple[int, int], colour: tuple[int, int, int], broad: float
) -> list[tuple[float, float]]:
    """Draw a way from one edge to the other, and return the places it goes through."""
    width, height = size
    along = np.linspace(-0.05, 1.05, 12)
    across = np.clip(random.uniform(0.1, 0.9) + np.cumsum(random.normal(0, 0.04, 12)), 0, 1)
    turns = list(zip(along * width, across * height, strict=True))
    if random.random() < 0.5:
        turns = list(zip(across * width, along * height, strict=True))
    draw.line(turns, fill=EDGE, width=round(broad) + 2, joint="curve")
    draw.line(turns, fill=colour, width=max(1, round(broad)), joint="curve")
    return turns
