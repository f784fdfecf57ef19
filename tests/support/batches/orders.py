"""Orders for the built-in bundle, about pictures that are small and all different."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image
from support.places import EXAMPLES

from uhd_edge.batch.order import Asking, Opening, Order
from uhd_edge.rows.source import open_source
from uhd_edge.runtime.bundles.bundle import Bundle

if TYPE_CHECKING:
    from pathlib import Path

QUESTIONS = ("What is the code on the white star?", "How many triangles are there?")


def draw_pictures(folder: Path, count: int) -> Path:
    """Write the example picture `count` times, each time with something else in its corner."""
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(EXAMPLES / "bench.png") as opened:
        picture = opened.convert("RGB")
    for number in range(count):
        picture.paste((number * 5 % 256, number % 256, 90), (0, 0, 40 + number % 30, 30))
        picture.save(folder / f"{number:05}.png", compress_level=1)
    return folder


def order(given: Path, questions: tuple[str, ...] = QUESTIONS, **changes: Any) -> Order:
    """An order for everything that is in `given`."""
    options = {"max_tokens": 12} | changes.pop("options", {})
    source = open_source(str(given), changes.pop("columns", {}))
    return Order(Asking(Bundle.open(), Opening(**changes), options), source, questions)
