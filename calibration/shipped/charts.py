"""Charts: bars, lines and points between axes, with a grid, numbers and a legend."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from uhd_edge.calibration.shipped.lettering import font, words

if TYPE_CHECKING:
    from numpy.random import Generator

    Box: TypeAlias = tuple[float, float, float, float]

COLOURS = ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189))
BLACK, GRID = (0, 0, 0), (210, 210, 210)


def draw_chart(random: Generator, number: int, width: int, height: int) -> Image.Image:
    """Draw bars in the first chart, and lines with points in the others."""
    chart = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(chart)
    size = max(8.0, min(width, height) / 28)
    box = (4 * size, 3 * size, width - size, height - 3 * size)
    draw.text((box[0], 0.5 * size), words(random, 4).capitalize(), fill=BLACK, font=font(1.3 * size))
    _draw_axes(draw, random, box, size)
    for series in range(3):
        values = np.clip(np.cumsum(random.normal(0.02, 0.12, 12)) + random.uniform(0.2, 0.6), 0.02, 0.98)
        (_draw_line if number else _draw_bars)(draw, values, box, series)
        draw.text((box[0] + size + 7 * size * series, box[1]), words(random, 1), fill=COLOURS[series], font=font(size))
    return chart


def _draw_axes(draw: ImageDraw.ImageDraw, random: Generator, box: Box, size: float) -> None:
    left, top, right, bottom = box
    largest = random.uniform(1, 500)
    for step in range(6):
        y = bottom - (bottom - top) * step / 5
        draw.line((left, y, right, y), fill=GRID)
        draw.text((4, y - size / 2), f"{largest * step / 5:.3g}", fill=BLACK, font=font(size))
    for step in range(6):
        x = left + (right - left) * step / 6
        draw.text((x, bottom + 4), words(random, 1)[:6], fill=BLACK, font=font(size))
    draw.line((left, top, left, bottom, right, bottom), fill=BLACK, width=2)


def _draw_bars(draw: ImageDraw.ImageDraw, values: np.ndarray, box: Box, series: int) -> None:
    left, top, right, bottom = box
    step = (right - left) / len(values)
    for index, value in enumerate(values):
        x = left + step * (index + 0.1 + 0.28 * series)
        draw.rectangle((x, bottom - (bottom - top) * value, x + 0.25 * step, bottom), fill=COLOURS[series])


def _draw_line(draw: ImageDraw.ImageDraw, values: np.ndarray, box: Box, series: int) -> None:
    left, top, right, bottom = box
    points = [
        (left + (right - left) * index / (len(values) - 1), bottom - (bottom - top) * value)
        for index, value in enumerate(values)
    ]
    draw.line(points, fill=COLOURS[series], width=2)
    for x, y in points:
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=COLOURS[series], outline=BLACK)
