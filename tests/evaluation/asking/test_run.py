"""A run asks what is missing, once, and comes to the same however often it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.evaluation.example_questions import ROWS, SETTINGS, order
from support.places import EXAMPLES

from uhd_edge.evaluation.asking import run as asking
from uhd_edge.evaluation.asking.results_file import read_rows
from uhd_edge.evaluation.asking.run import Order, Run
from uhd_edge.evaluation.asking.settings import Asking, Setting, all_settings
from uhd_edge.rows.errors import DataSetError, ResultsError
from uhd_edge.runtime.errors import OptionError


def answers(asked: Order) -> list[dict[int, tuple[str | None, str | None]]]:
    files = [read_rows(asked.file(setting)) for setting in asked.settings]
    return [{number: (row.answer, row.error) for number, row in sorted(rows.items())} for rows in files]


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> Order:
    asked = order(tmp_path_factory.mktemp("evaluation"))
    with Run(asked) as run:
        assert run.left == 8
        assert len(list(run.ask())) == 8
        assert run.left == 0
    return asked


def test_every_question_is_asked_in_every_setting(at_once: Order) -> None:
    alone, sliced = (read_rows(at_once.file(setting)) for setting in SETTINGS)
    assert [sliced[number].answer for number in range(4)] == [str(row["answer"]) for row in ROWS]
    assert alone[2].answer != "a orange square"
    assert (alone[2].views, sliced[2].views) == (1, 10)
    assert all(row.ran == "fp32 CPUExecutionProvider" and row.seconds > 0 for row in sliced.values())
    assert {row.language_model for row in sliced.values()} == {"CPU"}
    assert (sliced[1].reused_views, sliced[2].reused_views) == (1, 0)


def test_a_run_that_is_stopped_five_times_comes_to_the_same(at_once: Order, tmp_path: Path) -> None:
    asked = order(tmp_path)
    assert [asked.file(setting).name for setting in SETTINGS] == [at_once.file(setting).name for setting in SETTINGS]
    for stop in range(1, 6):
        with Run(asked) as run:
            steps = run.ask()
            next(steps)
            steps.close()
            assert run.left == 8 - stop
        file = asked.file(SETTINGS[0])
        if stop == 3:
            file.write_bytes(file.read_bytes() + b'{"question": 3, "na')  # killed while it wrote
    with Run(asked) as run:
        assert len(list(run.ask())) == 3
    assert answers(asked) == answers(at_once)
    assert [len(asked.file(setting).read_bytes().splitlines()) for setting in SETTINGS] == [5, 5]


def test_what_is_answered_opens_nothing(at_once: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "Assistant", None)
    with Run(at_once) as run:
        assert list(run.ask()) == []
    with Run(replace(at_once, limit=2)) as run:
        assert (run.count, run.left) == (2, 0)


@pytest.mark.parametrize(
    "change", [{"asking": Asking(max_tokens=17, threads=1)}, {"settings": (Setting("4x", 1), Setting("4x", 9))}]
)
def test_anything_else_is_asked_anew(change: dict[str, Any], at_once: Order) -> None:
    with Run(replace(at_once, **change)) as run:
        assert run.left == 8


def test_a_picture_that_is_missing_becomes_a_row_and_is_tried_again(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG, but no more")
    missing = {"image": "later.png", "question": "?", "answer": "x"}
    asked = order(tmp_path, missing, missing | {"image": str(broken)}, ROWS[0], settings=SETTINGS[:1])
    with Run(asked) as run:
        assert len(list(run.ask())) == 3
    first, second, third = read_rows(asked.file(SETTINGS[0])).values()
    assert "later.png: no such file" in str(first.error)
    assert "broken.png: not an image" in str(second.error)
    assert (third.answer, third.error) == ("JX7", None)
    broken.write_bytes((EXAMPLES / "bench.png").read_bytes())
    with Run(asked) as run:
        assert (run.left, len(list(run.ask()))) == (2, 2)
    assert read_rows(asked.file(SETTINGS[0]))[1].error is None


def test_a_question_that_is_too_long_becomes_a_row(tmp_path: Path) -> None:
    asked = order(tmp_path, ROWS[0] | {"question": "long " * 300}, ROWS[1], settings=SETTINGS[:1])
    with Run(replace(asked, asking=Asking(max_tokens=16, threads=1, context=256))) as run:
        first, second = run.ask()
    assert "tokens" in str(first.error)
    assert second.answer == "1"


def test_a_row_that_cannot_be_asked_is_found_before_anything_is(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="line 2: no answer"):
        Run(order(tmp_path, ROWS[0], {"image": "bench.png", "question": "?"}))
    assert not (tmp_path / "answers").exists()
    with pytest.raises(DataSetError, match=r"questions\.jsonl: no questions"):
        Run(replace(order(tmp_path), limit=0))


def test_answers_of_another_engine_are_not_mixed_in(at_once: Order) -> None:
    file = at_once.file(SETTINGS[0])
    before = file.read_bytes()
    try:
        lines = before.replace(b"CPUExecutionProvider", b"OpenVINO").splitlines(keepends=True)
        file.write_bytes(b"".join(lines[:-1]))
        with Run(at_once) as run, pytest.raises(ResultsError, match="are from fp32 OpenVINO, and now fp32 CPUExec"):
            list(run.ask())
    finally:
        file.write_bytes(before)


def test_settings_are_every_combination_and_say_what_they_are() -> None:
    every = all_settings(["16x", "4x", "16x"], [1, None], ["fp32"], ["auto", "openvino"])
    assert len(every) == 8
    assert every[0].label == "16x, 1 slice, fp32"
    assert every[-1].label == "4x, fp32, openvino"
    assert Setting("4x", 9, "int8").label == "4x, 9 slices, int8"
    for names in (["8x"], [], [""]):
        with pytest.raises(OptionError, match="valid are 16x, 4x"):
            all_settings(names, [None], ["fp32"], ["auto"])
    with pytest.raises(OptionError, match="max_slices is 0"):
        all_settings(["16x"], [0], ["fp32"], ["auto"])
    with pytest.raises(OptionError, match="repetition_penalty"):
        Asking(repetition_penalty=0)
