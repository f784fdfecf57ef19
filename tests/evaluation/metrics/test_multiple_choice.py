"""Options are recognized as by VLMEvalKit's `can_infer`, which gave the values here."""

from __future__ import annotations

import pytest

from uhd_edge.evaluation.metrics.multiple_choice import multiple_choice, option_of
from uhd_edge.evaluation.metrics.reference import Reference

CHOICES = {"A": "a red car", "B": "a blue bus", "C": "two dogs", "D": "nothing"}


@pytest.mark.parametrize(
    ("answer", "option"),
    [
        ("B", "B"),
        ("(B)", "B"),
        ("B. a blue bus", "B"),
        ("Answer: B", "B"),
        ("[C]", "C"),
        ("The answer is C.", "C"),
        ("The correct answer is **B**. Here's why: the picture shows a bus that is blue", "B"),
        ("A blue bus is shown", "B"),
        ("It is a BLUE BUS.", "B"),
        ("D: nothing", "D"),
        ("b", None),
        ("", None),
        ("E", None),
        ("A and B", None),
        ("answer is e", None),
        ("It shows two dogs and nothing", None),
        ("I think that the answer is (D) because the street is empty and wide", None),
        ("The right one is C, I am quite sure of that now", None),
        ("A car, red, stands in the street in front of the big old house", None),
        ("I choose option B because it is the best of them all", None),
    ],
)
def test_an_answer_means_an_option(answer: str, option: str | None) -> None:
    assert option_of(answer, CHOICES) == option


@pytest.mark.parametrize(
    ("answer", "option"),
    [
        ("The answer is a dog", "B"),
        ("The answer is A because of the ears that can be seen behind the tree", "A"),
        ("The answer is blue", "C"),
        ("The answer is a", "A"),
        ("The answer is a.", "A"),
        ("the answer is **a**", "A"),
        ("The answer is c, because of the tail that can be seen behind the tree", "C"),
        ("The answer is B because of the tail that can be seen behind the tree", "B"),
        ("The answer is d'Artagnan", None),
        ("The answer is a horse, and that horse stands behind the house", None),
    ],
)
def test_a_word_behind_the_answer_is_is_not_taken_for_the_letter_that_it_begins_with(
    answer: str, option: str | None
) -> None:
    assert option_of(answer, {"A": "a cat", "B": "a dog", "C": "blue", "D": "a zebra"}) == option


def test_the_option_must_be_a_right_one() -> None:
    assert multiple_choice("(B)", Reference(("B",), CHOICES)) == 1
    assert multiple_choice("(B)", Reference(("C",), CHOICES)) == 0
    assert multiple_choice("who knows", Reference(("C",), CHOICES)) == 0
