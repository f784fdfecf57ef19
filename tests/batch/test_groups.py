"""Rows become groups: each question has its number, whatever was finished before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uhd_edge.batch.finished import Finished
from uhd_edge.batch.groups import MOST_QUESTIONS, Group, read_groups
from uhd_edge.rows.errors import DataSetError
from uhd_edge.rows.source import RowSource, open_source


def source(folder: Path, *rows: object) -> RowSource:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return open_source(str(file), {})


def finished(*numbers: int) -> Finished:
    done = Finished()
    for number in numbers:
        done.add(number)
    return done


def told(groups: list[Group]) -> list[list[tuple[int, str, str | None]]]:
    return [[(one.number, one.image, one.question) for one in group.asked] for group in groups]


def test_consecutive_rows_about_one_picture_are_a_group(tmp_path: Path) -> None:
    rows = [{"image": name, "question": text} for name, text in (("a", "1"), ("a", "2"), ("b", "3"), ("a", "4"))]
    groups = list(read_groups(source(tmp_path, *rows), ()))
    assert told(groups) == [[(0, "a", "1"), (1, "a", "2")], [(2, "b", "3")], [(3, "a", "4")]]
    assert [group.pictures for group in groups] == [(tmp_path / name,) for name in "aba"]


def test_questions_of_the_run_are_asked_of_every_row_in_place_of_its_own(tmp_path: Path) -> None:
    groups = list(
        read_groups(source(tmp_path, {"image": "a", "question": "own"}, {"image": "b", "id": "x"}), ("p", "q"))
    )
    assert told(groups) == [[(0, "a", "p"), (1, "a", "q")], [(2, "x", "p"), (3, "x", "q")]]


@pytest.mark.parametrize("begin", range(7))
def test_what_is_finished_is_left_out_also_in_the_middle_of_a_row(begin: int, tmp_path: Path) -> None:
    rows = source(tmp_path, *({"image": name} for name in ("a", "a", "b")))
    everything = [one for group in read_groups(rows, ("p", "q")) for one in group.asked]
    done = finished(*range(begin))
    assert [one for group in read_groups(rows, ("p", "q"), done) for one in group.asked] == everything[begin:]


def test_what_was_ready_sooner_is_left_out_too(tmp_path: Path) -> None:
    rows = source(tmp_path, *({"image": name} for name in ("a", "a", "b")))
    groups = list(read_groups(rows, ("p", "q"), finished(0, 2, 5)))
    assert told(groups) == [[(1, "a", "q"), (3, "a", "q")], [(4, "b", "p")]]


def test_a_group_has_an_end(tmp_path: Path) -> None:
    rows = [{"image": "a", "question": str(number)} for number in range(MOST_QUESTIONS + 1)]
    groups = list(read_groups(source(tmp_path, *rows), ()))
    assert [len(group.asked) for group in groups] == [MOST_QUESTIONS, 1]


def test_a_row_that_lacks_something_has_it_as_its_problem_but_the_first_stops_the_run(tmp_path: Path) -> None:
    whole, without, no_image = {"image": "a", "question": "?"}, {"image": "a"}, {"question": "?"}
    _, second, third = (
        one for group in read_groups(source(tmp_path, whole, without, no_image), ()) for one in group.asked
    )
    assert second.problem == "no question; the columns are image; give --question, or --column question=NAME"
    assert str(third.problem).startswith("no image; the columns are question")
    assert third.image == "rows.jsonl, line 3"
    for first in (without, no_image):
        with pytest.raises(DataSetError, match=r"rows\.jsonl, line 1: no (question|image); the columns are"):
            list(read_groups(source(tmp_path, first, whole), ()))
