"""Five drawn pictures with a question each, whose answers are known because we drew them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from uhd_edge.calibration.shipped.lettering import font

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Question:
    """A question about the picture that `draw` makes.

    An answer is right if it has one of the `right` words and none of the `wrong` ones, in any case.
    """

    name: str
    draw: Callable[[], Image.Image]
    text: str
    right: tuple[str, ...]
    wrong: tuple[str, ...] = ()

    def is_right(self, answer: str) -> bool:
        said = set(re.findall(r"[\w.]*\w", answer.lower()))
        return not said.isdisjoint(self.right) and said.isdisjoint(self.wrong)


def sign() -> Image.Image:
    picture = Image.new("RGB", (448, 300), (150, 180, 205))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((212, 180, 236, 300), fill=(90, 90, 90))
    draw.rectangle((64, 70, 384, 190), fill=(0, 90, 60), outline="white", width=6)
    draw.text((224, 130), "HARBOUR", fill="white", font=font(62), anchor="mm")
    return picture


def dots() -> Image.Image:
    picture = Image.new("RGB", (400, 400), "white")
    draw = ImageDraw.Draw(picture)
    for x, y in ((90, 90), (290, 110), (190, 210), (100, 310), (310, 300)):
        draw.ellipse((x - 38, y - 38, x + 38, y + 38), fill=(205, 30, 30))
    return picture


def bars() -> Image.Image:
    """Large enough to be cut into slices."""
    picture = Image.new("RGB", (896, 640), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((448, 40), "Visitors", fill="black", font=font(40), anchor="mm")
    heights = {"Monday": 150, "Tuesday": 230, "Wednesday": 440, "Thursday": 310, "Friday": 90}
    for index, (day, height) in enumerate(heights.items()):
        left = 70 + 160 * index
        draw.rectangle((left, 560 - height, left + 100, 560), fill=(31, 119, 180))
        draw.text((left + 50, 590), day, fill="black", font=font(26), anchor="mm")
    draw.line((40, 80, 40, 560, 860, 560), fill="black", width=3)
    return picture


def receipt() -> Image.Image:
    picture = Image.new("RGB", (300, 420), (250, 250, 244))
    draw = ImageDraw.Draw(picture)
    rows = (("Bread", "3.20"), ("Milk", "1.45"), ("Apples", "2.85"), ("Coffee", "9.90"), ("TOTAL", "17.40"))
    draw.text((150, 45), "CORNER SHOP", fill="black", font=font(28), anchor="mm")
    for index, (what, price) in enumerate(rows):
        y = 120 + 52 * index + 24 * (what == "TOTAL")
        draw.text((30, y), what, fill="black", font=font(28), anchor="lm")
        draw.text((270, y), price, fill="black", font=font(28), anchor="rm")
    draw.line((30, 330, 270, 330), fill="black", width=2)
    return picture


def shapes() -> Image.Image:
    picture = Image.new("RGB", (480, 320), (235, 235, 235))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((40, 90, 180, 230), fill=(30, 70, 200))
    draw.ellipse((290, 90, 430, 230), fill=(245, 200, 20))
    return picture


_DAYS = ("monday", "tuesday", "thursday", "friday")

QUESTIONS = (
    Question("sign", sign, "What word is on the sign? Answer with the word only.", ("harbour",)),
    Question("dots", dots, "How many red dots are there? Answer with a number only.", ("5", "five")),
    Question("bars", bars, "Which day has the highest bar? Answer with the day only.", ("wednesday",), _DAYS),
    Question(
        "receipt",
        receipt,
        "What is the total on the receipt? Answer with the number only.",
        ("17.40", "17.4"),
        ("3.20", "1.45", "2.85", "9.90"),
    ),
    Question("shapes", shapes, "What colour is the circle? Answer with the colour only.", ("yellow",), ("blue",)),
)
