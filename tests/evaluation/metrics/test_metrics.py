"""Metrics give the values of their papers and of the reference code, case by case."""

from __future__ import annotations

import pytest

from uhd_edge.evaluation.metrics.anls import anls, edit_distance
from uhd_edge.evaluation.metrics.exact_match import exact_match
from uhd_edge.evaluation.metrics.names import METRICS, find_metric
from uhd_edge.evaluation.metrics.ocrbench import ocrbench
from uhd_edge.evaluation.metrics.reference import Reference
from uhd_edge.evaluation.metrics.relaxed_accuracy import relaxed_accuracy
from uhd_edge.runtime.errors import OptionError

# The test of google-research/pix2struct, pix2struct/metrics_test.py: predictions and right answers.
PIX2STRUCT = (
    ("abc", "abc"),
    ("abc", "Abc"),
    ("Abc", "abc"),
    ("100%", "96%"),
    ("100%", "94%"),
    ("100%", "0.96"),
    ("100%", "0.94"),
    ("Don't", "Won't"),
)
FORMULA = "Handwritten Mathematical Expression Recognition"


@pytest.mark.parametrize(("name", "mean"), [("exact_match", 12.5), ("anls", 47.5), ("relaxed_accuracy", 62.5)])
def test_the_means_are_those_of_pix2structs_own_test(name: str, mean: float) -> None:
    scores = [METRICS[name].score(answer, Reference((right,))) for answer, right in PIX2STRUCT]
    assert 100 * sum(scores) / len(scores) == pytest.approx(mean)


# The table that explains ANLS, as tested by shunk031/ANLS, tests/metrics/score_test.py.
@pytest.mark.parametrize(
    ("answer", "score"),
    [("The Coca", 0.0), ("CocaCola", 0.89), ("Coca cola", 1.0), ("Cola", 0.0), ("Cat", 0.0)],
)
def test_anls_is_that_of_the_published_table(answer: str, score: float) -> None:
    assert anls(answer, Reference(("Coca Cola", "Coca Cola Company"))) == pytest.approx(score, abs=0.005)


# huggingface/evaluate, metrics/anls/README.md: dates of which one digit is wrong.
def test_anls_of_a_wrong_digit() -> None:
    assert anls("12/15/89", Reference(("12/15/88",))) == 0.875


# Computed by VLMEvalKit's `anls_compute`, which is the competition's script.
@pytest.mark.parametrize(
    ("answer", "right", "score"),
    [
        ("abc ", "abd", 0.75),
        ("kitten", "sitting", 4 / 7),
        ("ab", "ba", 0),
        ("abcd", "ab", 0.5),
        ("Hello World", "hello  world", 1),
    ],
)
def test_anls_is_that_of_the_competitions_script(answer: str, right: str, score: float) -> None:
    assert anls(answer, Reference((right,))) == pytest.approx(score)


def test_the_edit_distance_is_levenshteins() -> None:
    assert edit_distance("kitten", "sitting") == 3  # Wagner and Fischer's example, known to every textbook
    assert edit_distance("", "abc") == edit_distance("abc", "") == 3


# Computed by VLMEvalKit's copy of pix2struct's `relaxed_correctness`, except for `nan` and `inf`, which are words here.
@pytest.mark.parametrize(
    ("answer", "right", "score"),
    [
        ("95", "100", 1),
        ("105.0001", "100", 0),
        ("-5", "-5.2", 1),
        ("7%", "0.07", 1),
        ("1e3", "1000", 1),
        ("0", "0.0", 0),
        ("0.0", "0", 0),
        ("$5", "5", 0),
        ("Blue", "blue", 1),
        ("nan", "NaN", 1),
        ("nan", "5", 0),
        ("inf", "5", 0),
    ],
)
def test_numbers_may_be_off_by_five_percent(answer: str, right: str, score: float) -> None:
    assert relaxed_accuracy(answer, Reference((right,))) == score
    assert relaxed_accuracy(answer, Reference(("other", right))) == score


# Cases worked out by the loop in Yuliang-Liu/MultimodalOCR, OCRBench/example.py.
@pytest.mark.parametrize(
    ("answer", "right", "category", "score"),
    [
        ("The word is CENTRE.", "centre", None, 1),
        ("The word is\nROYAL MAIL", "is royal mail", None, 1),
        ("royal  mail", "royal mail", None, 0),
        ("the name is Müller", "muller", None, 0),
        ("It is \\frac { 1 } { x }", "\\frac{1}{x}", FORMULA, 1),
        ("It is \\frac { 1 } { X }", "\\frac{1}{x}", FORMULA, 0),
        ("a + b", "a+b", "HME100k", 1),
        ("a + b", "a+b", "Digit String Recognition", 0),
    ],
)
def test_a_right_answer_is_contained(answer: str, right: str, category: str | None, score: float) -> None:
    assert ocrbench(answer, Reference(("nothing like it", right), category=category)) == score


def test_exact_answers_match_with_case_and_without_the_space_around() -> None:
    assert exact_match(" JX7\n", Reference(("none", "JX7"))) == 1
    assert exact_match("jx7", Reference(("JX7",))) == 0


def test_an_unknown_metric_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(OptionError, match="no metric 'cider'; valid are exact_match, vqa_accuracy, anls"):
        find_metric("cider")


@pytest.mark.parametrize(
    ("name", "reference", "problem"),
    [
        ("anls", Reference(()), "no answer is given"),
        ("anls", Reference(("", " ")), "no answer is given"),
        ("ocrbench", Reference(("a", "")), "an answer is empty, and every text contains that"),
        ("vqa_accuracy", Reference(("yes",) * 3), "vqa_accuracy needs the answers of at least 4 people, usually ten"),
        ("multiple_choice", Reference(("A",)), "multiple_choice needs at least two choices"),
        ("multiple_choice", Reference(("C",), {"A": "x", "B": "y"}), "the answer 'C' is none of the choices A, B"),
        ("vqa_accuracy", Reference(("yes", "", "", "no")), None),
        ("exact_match", Reference(("yes",)), None),
    ],
)
def test_a_reference_that_cannot_be_scored_says_why(name: str, reference: Reference, problem: str | None) -> None:
    assert METRICS[name].problem(reference) == problem
