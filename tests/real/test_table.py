"""The table of `make test-real`, and the pictures and questions that it is made of."""

from __future__ import annotations

import pytest
from support.real.questions import QUESTIONS
from support.real.table import HEADINGS, Row, table_lines


def test_a_row_has_a_cell_for_every_heading_and_what_failed_says_why() -> None:
    fp32 = Row("FP32", "16x", "1.000000", "1.000000", "2.0e-05", "5 of 5, 96 tokens", "4 of 5, not dots", "1.52")
    machine, _, head, rule, first, second, _, why = table_lines(
        "minicpm-v-4.6", [Row("transformers", "16x", right="5 of 5"), fp32], [("INT8", "no room")]
    )
    assert machine.startswith("minicpm-v-4.6; ")
    assert "onnxruntime" in machine
    assert head.count("|") == rule.count("|") == first.count("|") == second.count("|") == len(HEADINGS) + 1
    assert first == "| transformers | 16x | - | - | - | - | 5 of 5 | - |"
    assert second == "| FP32 | 16x | 1.000000 | 1.000000 | 2.0e-05 | 5 of 5, 96 tokens | 4 of 5, not dots | 1.52 |"
    assert why == "INT8: no room"


@pytest.mark.parametrize(
    ("answers", "right"),
    [
        (("HARBOUR", "5", "Wednesday.", "17.40", "Yellow"), True),
        (("The word is “Harbour”.", "There are five.", "It is Wednesday!", "$17.4", "The circle is yellow."), True),
        (("HARBOR", "15", "Tuesday", "9.90", "blue"), False),
        (("", "4", "Monday, not Wednesday", "17", "yellow or blue"), False),
    ],
)
def test_answers_are_told_apart(answers: tuple[str, ...], right: bool) -> None:
    assert [question.is_right(answer) for question, answer in zip(QUESTIONS, answers, strict=True)] == [right] * 5


def test_the_pictures_differ_and_one_of_them_is_cut_into_slices() -> None:
    pictures = [question.draw() for question in QUESTIONS]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    assert [picture.width * picture.height > 448**2 for picture in pictures].count(True) == 1
