"""VQA accuracy: cases of apple/axlearn, axlearn/vision/metrics_vqa_test.py, and values of VLMEvalKit's normalizer."""

from __future__ import annotations

import pytest

from uhd_edge.evaluation.metrics.reference import Reference
from uhd_edge.evaluation.metrics.vqa_accuracy import normalized, vqa_accuracy


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("n/a", "n"),
        ("no one", "no 1"),
        ("0-0", "0 0"),
        ("02/12/2011", "02 12 2011"),
        ("20+", "20"),
        ("333-3333", "333 3333"),
        ("6 fifty-five", "6 fifty 5"),
        ("8 - 2", "8 2"),
        ("none", "0"),
        ("", ""),
        ("a", ""),
        ("crock-pot", "crock pot"),
        ("horse, man", "horse man"),
        ("june 29, 2013", "june 29 2013"),
        ("t-shirts", "t shirts"),
        ("streamers_and_fake_records", "streamers and fake records"),
        (
            "6 flowering plants, too many individual flowers to count",
            "6 flowering plants too many individual flowers to count",
        ),
        ("black/white", "black white"),
        ("hammer time!", "hammer time"),
        ("???", ""),
        ("someone", "someone"),
    ],
)
def test_answers_are_normalized_as_axlearn_has_it(answer: str, expected: str) -> None:
    assert normalized(answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("2.5 m", "2.5 m"),
        ("Dr. Who", "dr who"),
        ("1,000 people!", "1000 people"),
        ("its a dont know", "its don't know"),
        ("She'd've  gone", "she'd've gone"),
        ("U.S.A.", "usa"),
        ("shes there's twas", "shes there's 'twas"),
        ("couldntve yalld've", "couldntve yalld've"),
        ("couldn'tve", "couldn't've"),
        ("y'all'dve", "y'all'd've"),
        ("St. John's", "st john's"),
    ],
)
def test_answers_are_normalized_as_vlmevalkit_has_it(answer: str, expected: str) -> None:
    assert normalized(answer) == expected


def test_a_period_behind_a_number_goes_as_in_the_official_script() -> None:
    assert normalized("3.") == "3"


@pytest.mark.parametrize(
    ("answer", "people", "score"),
    [
        ("down", "down|down|at table|stakeboard|down|table|down|down|down|down", 1.0),
        ("none", "panther|none|leather|dog|cat|none|none|none|none|dog", 1.0),
        ("a", "a|a|a|a|a|a|a|a|a|a", 1.0),
        ("1", "3|3|3|1|3|3|3|1|1|1", 1.0),
        ("100", "about 100|100|0|0|thousands|1|0|100|many|unknown", 0.6),
        ("3:18", "10:20|10:00|10:20|10 19|10:19|10:20|10 19|3:18|10:20|10:19", 0.3),
        ("russian", "english|french|german|russian|latin|russian|russian|latin|latin|russian", 1.0),
        ("don't shoot", "don't shoot|don't shoot|shooting|stop|stop|surrender|i surrender|surrender|hands up|gun", 0.6),
        (
            "toilet paper",
            "toilet paper|nothing|toilet paper|nothing|paper|handle|toilet bowl cleaner|valve|toilet paper|nothing",
            0.9,
        ),
        ("maybe not", "no|yes|yes|no|yes|maybe|yes|yes|yes|yes", 0.0),
    ],
)
def test_an_answer_is_as_right_as_people_agree_with_it(answer: str, people: str, score: float) -> None:
    assert vqa_accuracy(answer, Reference(tuple(people.split("|")))) == pytest.approx(score)


def test_an_answer_is_normalized_where_all_agree_too() -> None:
    assert vqa_accuracy("Yes.", Reference(("yes",) * 10)) == 1.0
