"""Lanes answer as an assistant does, in order, and read no further ahead than they have to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pytest
from support.batches.orders import QUESTIONS, draw_pictures, order
from support.images.files import encoded, picture
from support.places import EXAMPLES

from uhd_edge.batch.answering import answer_group
from uhd_edge.batch.finished import Finished
from uhd_edge.batch.groups import Group, read_groups
from uhd_edge.batch.lanes import AHEAD, WINDOW, LaneCount, Lanes, count_lanes
from uhd_edge.batch.row import Row
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.errors import ModelError, OptionError
from uhd_edge.runtime.llm.language_model import LanguageModel


def answer(lanes: Lanes, groups: Iterator[Group]) -> list[Row]:
    return [row for rows in lanes.answer(groups) for row in rows]


def of_first(count: int) -> Finished:
    done = Finished()
    for number in range(count):
        done.add(number)
    return done


def test_answers_are_those_of_an_assistant_with_several_questions_and_with_one(tmp_path: Path) -> None:
    names = ["bench.png", "sliced.jpg", "wide.png"]
    asked = order(draw_pictures(tmp_path / "pictures", 3))
    for name in names:
        (tmp_path / "pictures" / name).write_bytes((EXAMPLES / name).read_bytes())
    asked = order(tmp_path / "pictures")
    with Lanes(asked.asking, LaneCount(2, 1)) as lanes:
        rows = answer(lanes, read_groups(asked.source, asked.questions))
        again = answer(lanes, read_groups(asked.source, asked.questions, of_first(3)))
        groups = read_groups(asked.source, asked.questions)
        any_order = [row for of_group in lanes.answer(groups, ordered=False) for row in of_group]
        alone = replace(asked, questions=QUESTIONS[:1])
        single = answer(lanes, read_groups(alone.source, alone.questions))
    with Assistant(threads=1) as assistant:
        told = [
            (row.image, question, assistant.ask(tmp_path / "pictures" / row.image, question, max_tokens=12))
            for row in rows[::2]
            for question in QUESTIONS
        ]
    assert [row.number for row in rows] == list(range(12))
    assert [(row.image, row.question, row.answer) for row in rows] == [(one, two, a.text) for one, two, a in told]
    assert [row.vision_tokens for row in rows] == [a.usage.vision_tokens for _, _, a in told]
    assert [row.completion_tokens for row in rows] == [a.usage.completion_tokens for _, _, a in told]
    assert rows[7].views == 1
    assert max(row.views for row in rows) == 10
    assert sorted(any_order, key=lambda row: row.number) == rows
    assert again == rows[3:]  # goes on in the middle of a picture's questions
    assert [row.answer for row in single] == [row.answer for row in rows[::2]]


def test_a_row_that_is_ready_does_not_wait_for_those_before_it_unless_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = order(draw_pictures(tmp_path / "pictures", 4), QUESTIONS[:1])
    others = threading.Semaphore(0)

    def held(group: Group, *given: Any) -> tuple[Row, ...]:
        if group.asked[0].number == 0:
            assert all(others.acquire(timeout=60) for _ in range(3))
        else:
            others.release()
        return answer_group(group, *given)

    monkeypatch.setattr("uhd_edge.batch.lanes.answer_group", held)
    with Lanes(asked.asking, LaneCount(2, 1)) as lanes:
        for ordered in (True, False):
            rows = lanes.answer(read_groups(asked.source, asked.questions), ordered=ordered)
            assert (next(rows)[0].number == 0) == ordered
            assert len(list(rows)) == 3


def test_what_cannot_be_asked_is_a_row_between_the_others(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(encoded(picture())[:60])
    whole = str(EXAMPLES / "bench.png")
    (tmp_path / "rows.jsonl").write_text(
        "\n".join(
            json.dumps({"image": image, "question": question})
            for image, question in (
                (whole, QUESTIONS[0]),
                ("broken.png", "?"),
                ("missing.png", "?"),
                (whole, ""),
                (whole, "much " * 5000),
                ("data:image/png;base64,?", "?"),
                (whole, QUESTIONS[0]),
            )
        )
    )
    asked = order(tmp_path / "rows.jsonl", questions=())
    with Lanes(asked.asking, LaneCount(2, 1)) as lanes:
        rows = answer(lanes, read_groups(asked.source, ()))
    assert [row.number for row in rows] == list(range(7))
    assert [row.answer for row in (rows[0], rows[6])] == ["JX7", "JX7"]
    for row, line in zip(
        rows[1:6],
        ("broken.png: ", "missing.png: no such file", "no question; the columns", "tokens", "base64 is broken"),
        strict=True,
    ):
        assert row.answer is None
        assert line in str(row.error)
        assert "\n" not in str(row.error)


def test_no_more_is_read_ahead_than_the_lanes_need(tmp_path: Path) -> None:
    asked = order(draw_pictures(tmp_path / "pictures", 1), QUESTIONS[:1])
    (one,) = read_groups(asked.source, asked.questions)
    read = count()

    def endless() -> Iterator[Group]:
        while True:
            number = next(read)
            yield replace(one, asked=(replace(one.asked[0], number=number),))

    with Lanes(asked.asking, LaneCount(2, 1)) as lanes:
        stream = lanes.answer(endless())
        numbers = [row.number for _ in range(20) for row in next(stream)]
        stream.close()
    assert numbers == list(range(20))
    assert next(read) <= 20 + WINDOW + AHEAD * 2


def test_a_language_model_that_fails_ends_the_run_and_closing_ends_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> NoReturn:
        raise ModelError("the GPU is gone")

    asked = order(draw_pictures(tmp_path / "pictures", 8), QUESTIONS[:1])
    with Lanes(asked.asking, LaneCount(2, 1)) as lanes:
        stream = lanes.answer(read_groups(asked.source, asked.questions))
        assert next(stream)[0].number == 0
        stream.close()
        assert len(answer(lanes, read_groups(asked.source, asked.questions))) == 8
        monkeypatch.setattr(LanguageModel, "prefill_steps", failing)
        with pytest.raises(ModelError, match="the GPU is gone"):
            answer(lanes, read_groups(asked.source, asked.questions))


def test_cores_are_shared_among_the_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_lanes(threads=2) == LaneCount(2, 1)
    assert count_lanes(threads=16) == LaneCount(4, 4)
    assert count_lanes(3, threads=8) == LaneCount(3, 2)
    assert count_lanes(8, threads=2) == LaneCount(8, 1)
    with pytest.raises(OptionError):
        count_lanes(0)
