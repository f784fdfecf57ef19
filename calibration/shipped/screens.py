"""Screens: windows with a bar, a list, buttons, fields and a picture, light or dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image, ImageDraw

from uhd_edge.calibration.shipped.lettering import font, words, write_lines

if TYPE_CHECKING:
    from numpy.random import Generator

Colour: TypeAlias = "tuple[int, int, int]"


@dataclass(frozen=True)
class _Theme:
    ground: Colour
    panel: Colour
    text: Colour
    line: Colour


LIGHT = _Theme((250, 250, 252), (232, 234, 240), (30, 32, 38), (200, 204, 212))
DARK = _Theme((22, 24, 30), (36, 39, 48), (224, 226, 232), (70, 74, 86))
ACCENTS: tuple[Colour, ...] = ((0, 110, 230), (220, 60, 50), (30, 160, 90), (240, 170, 20), (130, 70, 200))


def draw_screen(random: Generator, number: int, width: int, height: int) -> Image.Image:
    """Draw a window that fills the picture; every other one is dark."""
    theme = DARK if number % 2 else LIGHT
    screen = Image.new("RGB", (width, height), theme.ground)
    draw = ImageDraw.Draw(screen)
    bar, side, size = 0.08 * height, 0.28 * width, max(8.0, min(width, height) / 30)
    accent = ACCENTS[random.integers(len(ACCENTS))]
    draw.rectangle((0, 0, width, bar), fill=accent)
    draw.text((size, 0.2 * bar), words(random, 2).title(), fill=(255, 255, 255), font=font(0.5 * bar))
    _draw_list(draw, random, (0, bar, side, height), theme, size)
    _draw_form(draw, random, (side + size, bar + size, width - size, 0.55 * height), theme, size)
    left, top, right, bottom = (round(value) for value in (side + size, 0.6 * height, width - size, height - size))
    if right - left > 4 and bottom - top > 4:
        gradient = Image.linear_gradient("L").resize((right - left, bottom - top))
        picture = Image.merge("RGB", (gradient, gradient.rotate(180), Image.new("L", gradient.size, 120)))
        screen.paste(picture, (left, top))
        draw.ellipse((left + 4, top + 4, (left + right) / 2, bottom - 4), outline=(255, 255, 255), width=3)
    return screen


def _draw_list(
    draw: ImageDraw.ImageDraw, random: Generator, box: tuple[float, float, float, float], theme: _Theme, size: float
) -> None:
    left, top, right, bottom = box
    draw.rectangle(box, fill=theme.panel)
    step = 2.6 * size
    for row in range(int((bottom - top) // step)):
        y = top + row * step
        colour = ACCENTS[random.integers(len(ACCENTS))]
        draw.ellipse((left + 4, y + 0.5 * size, left + 4 + 1.4 * size, y + 1.9 * size), fill=colour)
        draw.text((left + 8 + 1.6 * size, y + 0.5 * size), words(random, 1).title(), fill=theme.text, font=font(size))
        draw.line((left, y, right, y), fill=theme.line)


def _draw_form(
    draw: ImageDraw.ImageDraw, random: Generator, box: tuple[float, float, float, float], theme: _Theme, size: float
) -> None:
    left, top, right, bottom = box
    middle = (left + right) / 2
    write_lines(draw, random, (left, top, right, top + 3 * size), size, theme.text)
    step = 2.4 * size
    for row in range(int((bottom - top - 4 * size) // step)):
        y = top + 4 * size + row * step
        draw.text((left, y), words(random, 1).title(), fill=theme.text, font=font(size))
        kind = random.integers(3)
        if kind == 0:
            draw.rectangle((middle, y, right, y + 1.8 * size), outline=theme.line, fill=theme.panel)
            draw.text((middle + 4, y + 2), words(random, 1), fill=theme.text, font=font(size))
        elif kind == 1:
            draw.rounded_rectangle((middle, y, right, y + 1.8 * size), size, fill=ACCENTS[random.integers(5)])
            draw.text((middle + size, y + 2), words(random, 1).title(), fill=(255, 255, 255), font=font(size))
        else:
            done = middle + (right - middle) * random.uniform(0.1, 0.9)
            draw.line((middle, y + size, right, y + size), fill=theme.line, width=4)
            draw.line((middle, y + size, done, y + size), fill=ACCENTS[random.integers(5)], width=4)
