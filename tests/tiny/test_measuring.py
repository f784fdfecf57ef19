"""uhd-tiny's tables come from the code of `uhd eval`, and say how often its answers are exact."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from uhd_edge.runtime.assistant import Assistant
from uhd_edge.tiny.measuring.measure import main
from uhd_edge.tiny.measuring.measured import EASY_SETTINGS, HARD_SETTINGS, Setting, measured_set, write_set


def test_a_set_is_written_without_loss(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in write_set("single", tmp_path, 6).read_text().splitlines()]
    for row, entry in zip(rows, measured_set("single", 6), strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / row["image"])), np.asarray(entry.picture))
        assert (row["question"], row["answer"]) == (entry.question.text, entry.question.answer)
        assert row["group"] == entry.question.kind


@pytest.mark.parametrize(("world", "settings"), [("harder", HARD_SETTINGS), ("easier", EASY_SETTINGS)])
def test_the_table_counts_exact_answers(world: str, settings: tuple[Setting, ...], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--world", world, "--count", "3", "--threads", "1", "--folder", str(tmp_path)])
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in result.stdout.splitlines()]
    assert lines[0] == ["question", *(setting.title for setting in settings)]
    whole = next(number for number, setting in enumerate(settings) if setting.max_slices == 1)
    with Assistant(threads=1) as assistant:
        exact = [
            assistant.ask(entry.picture, entry.question.text, max_tokens=16, max_slices=1).text == entry.question.answer
            for entry in measured_set(settings[whole].measured_set, 3)
        ]
    assert lines[-1][1 + whole] == f"{100 * sum(exact) / 3:.1f} %"
