"""Words and lines of text for drawings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import ImageFont

if TYPE_CHECKING:
    from numpy.random import Generator
    from PIL import ImageDraw

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

TEXT = """
account address after amount before between bridge camera carrier change check city cold contract copy current
date delivery detail device door engine entrance error every exit figure first floor form freight gate green
ground harbour height invoice item large last left level light line list machine manual market measure meter
minute model month name near north notice number office open order page part pressure price quarter rate red
report return right river room sample section service signal small south speed state station step street sum
table tax temperature time total tower valve value voltage water weight west width year
"""
WORDS = tuple(TEXT.split())


def font(size: float) -> Font:
    """Return Pillow's own font, at least 6 pixels high."""
    return ImageFont.load_default(max(size, 6))


def words(random: Generator, count: int) -> str:
    """Return `count` words and numbers."""
    chosen = [
        str(random.integers(1, 10_000)) if random.random() < 0.15 else WORDS[random.integers(len(WORDS))]
        for _ in range(count)
    ]
    return " ".join(chosen)


def write_lines(
    draw: ImageDraw.ImageDraw,
    random: Generator,
    box: tuple[float, float, float, float],
    size: float,
    colour: tuple[int, int, int],
) -> None:
    """Fill a box (left, upper, right, lower edge) with lines of words, `size` pixels high."""
    left, top, right, bottom = box
    chosen = font(size)
    for line in range(int((bottom - top) // (1.4 * size))):
        text = words(random, 60)
        letters = max(1, int((right - left) * random.uniform(0.5, 1.0) / (0.52 * size)))
        draw.text((left, top + 1.4 * size * line), text[:letters].capitalize(), fill=colour, font=chosen)
