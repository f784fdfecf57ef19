"""A small data set about the example pictures, and how it is asked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from support.places import EXAMPLES

from uhd_edge.evaluation.asking.run import Order
from uhd_edge.evaluation.asking.settings import Asking, Setting
from uhd_edge.evaluation.data.data_set import Reading, open_data_set
from uhd_edge.runtime.bundles.bundle import Bundle

if TYPE_CHECKING:
    from pathlib import Path

ROWS: tuple[dict[str, Any], ...] = (
    {"image": "bench.png", "question": "What is the code on the white star?", "answer": "JX7", "group": "code"},
    {"image": "bench.png", "question": "How many triangles are there?", "answer": 1, "group": "count"},
    {"image": "sliced.jpg", "question": "What is labelled FEC?", "answer": "a orange square", "group": "labelled"},
    {"image": "wide.png", "question": "Which object is the leftmost?", "answer": "the black circle", "group": "place"},
)
SETTINGS = (Setting("16x", 1), Setting("16x", 9))


def write_rows(folder: Path, *rows: dict[str, Any]) -> Path:
    """Write rows about the examples, whose `image` is the name of one; other names stay as they are."""
    file = folder / "questions.jsonl"
    named = [
        row | {"image": str(EXAMPLES / row["image"]) if (EXAMPLES / str(row["image"])).is_file() else row["image"]}
        for row in rows
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in named), encoding="utf-8")
    return file


def order(folder: Path, *rows: dict[str, Any], **changes: Any) -> Order:
    """An order for the built-in bundle, with answers in `folder`."""
    data = open_data_set(write_rows(folder, *(rows or ROWS)), Reading())
    asked = Order(Bundle.open(), data, SETTINGS, Asking(max_tokens=16, threads=1), folder / "answers")
    return replace(asked, **changes)
