"""Documents: printed pages with headings, columns and tables, scanned or photographed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from uhd_edge.calibration.shipped.lettering import font, words, write_lines

if TYPE_CHECKING:
    from numpy.random import Generator

INK = (24, 24, 28)
STAMP = (170, 30, 40)


def draw_document(random: Generator, number: int, width: int, height: int) -> Image.Image:
    """Draw a page; every other one is photographed: turned a little, unevenly lit, not quite sharp."""
    page = Image.new("RGB", (width, height), tuple(int(value) for value in random.integers(235, 256, 3)))
    draw = ImageDraw.Draw(page)
    margin, size = 0.07 * width, min(width, height) / random.uniform(22, 36)
    draw.text((margin, margin), words(random, 3).upper(), fill=INK, font=font(1.8 * size))
    middle, columns = 0.55 * height, 1 + number % 2
    step = (width - 2 * margin) / columns
    for column in range(columns):
        left = margin + column * step
        write_lines(draw, random, (left, margin + 3 * size, left + 0.94 * step, middle), size, INK)
    _draw_table(draw, random, (margin, middle + size, width - margin, height - margin), size)
    draw.text((0.6 * width, 0.9 * height), words(random, 2).upper(), fill=STAMP, font=font(1.6 * size))
    return _photographed(page, random) if number % 2 else page


def _draw_table(
    draw: ImageDraw.ImageDraw, random: Generator, box: tuple[float, float, float, float], size: float
) -> None:
    left, top, right, bottom = box
    rows, columns = max(2, int((bottom - top) / (2 * size))), int(random.integers(3, 6))
    for row in range(rows + 1):
        y = top + (bottom - top) * row / rows
        draw.line((left, y, right, y), fill=INK, width=2 if row < 2 else 1)
    for column in range(columns):
        x = left + (right - left) * column / columns
        draw.line((x, top, x, bottom), fill=INK)
        for row in range(rows):
            text = words(random, 1) if column == 0 or row == 0 else f"{random.uniform(0, 999):.2f}"
            draw.text((x + 3, top + (bottom - top) * row / rows + 2), text, fill=INK, font=font(0.8 * size))


def _photographed(page: Image.Image, random: Generator) -> Image.Image:
    width, height = page.size
    table = tuple(int(value) for value in random.integers(40, 130, 3))
    turned = page.rotate(random.uniform(-6, 6), Image.Resampling.BICUBIC, expand=False, fillcolor=table)
    soft = turned.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 0.9)))
    across, down = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    light = 0.8 + 0.15 * (across * random.uniform(-1, 1) + down * random.uniform(-1, 1))
    pixels = np.asarray(soft) * light[..., None] + random.normal(0, 4, (height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
