"""The numbers of a summary, as values, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

from support.evaluation.example_questions import SETTINGS

from uhd_edge.evaluation.asking.run import Order
from uhd_edge.evaluation.report.summary import Summary, summarize
from uhd_edge.evaluation.report.table import probability, table
from uhd_edge.evaluation.significance.intervals import Interval


def test_shares_are_of_all_questions_and_those_of_groups_too(summary: Summary) -> None:
    first, second = summary.columns
    assert (first.score.mean, second.score.mean) == (0.6, 0.6)
    assert {group: interval.mean for group, interval in second.groups.items()} == {
        "code": 0.5,
        "count": 1.0,
        "labelled": 1.0,
        "place": 0.0,
    }
    assert (first.unanswered, first.cut) == (1, 0)


def test_costs_are_of_questions_whose_pictures_were_encoded(summary: Summary) -> None:
    first, _ = summary.columns
    assert first.seconds == 0.2  # the median of 0.5, 0.1 and 0.2
    assert (first.prompt_tokens, first.completion_tokens) == (41.5, 3)


def test_settings_are_compared_question_by_question(summary: Summary) -> None:
    (comparison,) = summary.comparisons
    assert (comparison.better, comparison.worse, comparison.probability) == (1, 1, 1.0)
    assert [one.number for one in summary.asked if one.differs] == [2, 3]


def test_questions_that_one_setting_was_not_asked_are_left_out(asked: Order) -> None:
    limited = summarize(replace(asked, limit=3))
    assert [one.number for one in limited.asked] == [0, 1, 2]
    file = asked.file(SETTINGS[1])
    before = file.read_bytes()
    file.write_bytes(b"".join(before.splitlines(keepends=True)[:3]))
    try:
        assert [one.number for one in summarize(asked).asked] == [0, 1]
    finally:
        file.write_bytes(before)


def test_the_table_shows_settings_differences_and_groups(summary: Summary) -> None:
    lines = table(summary).splitlines()
    assert lines[0] == "uhd-tiny on questions.jsonl: 5 questions, exact_match"
    assert " ".join(lines[3].split()) == "16x, 1 slice, auto 60.0 % 23.1 - 88.2 0.2 42 3.0 fp32 CPU"
    assert "16x, 1 slice, auto: 1 not answered, which count as wrong; the first: none.png: no such file" in lines
    (said,) = [line for line in lines if "points" in line]
    assert said.startswith("16x, 9 slices, auto  +0.0 points (")
    assert said.endswith("better in 1, worse in 1, p = 1.00 (McNemar's exact test): may be chance")
    assert lines[-1].split() == ["place", "100.0", "%", "0.0", "%"]


def test_the_table_says_where_the_language_model_ran(summary: Summary) -> None:
    first, *others = summary.columns
    places = (replace(first, language_models=("CPU", "CUDA: Orin, all layers")), *others)
    assert table(replace(summary, columns=places)).splitlines()[1] == "language model: CPU; CUDA: Orin, all layers"
    assert "language model" not in table(summary)  # of answers that an earlier version has kept


def test_json_has_every_answer_and_score(summary: Summary) -> None:
    shown = json.loads(json.dumps(summary.as_object()))
    assert [one["setting"]["label"] for one in shown["settings"]] == [setting.label for setting in SETTINGS]
    assert shown["questions"][2]["answers"] == ["a red <star>", "a orange square"]
    assert shown["questions"][2]["scores"] == [0.0, 1.0]
    assert shown["questions"][4]["errors"] == ["none.png: no such file"] * 2
    assert shown["comparisons"][0]["is_noise"] is True


def test_several_metrics_are_shown_by_themselves(summary: Summary) -> None:
    assert "metric " not in table(summary)
    other = replace(summary.columns[0], metrics={"anls": summary.columns[0].score, "exact_match": Interval(1, 1, 1)})
    lines = table(replace(summary, columns=(other,), comparisons=())).splitlines()
    assert [line.split() for line in lines[-2:]] == [["anls", "60.0", "%"], ["exact_match", "100.0", "%"]]


def test_probabilities_are_short() -> None:
    assert [probability(value) for value in (0.00001, 0.0123, 0.5, 1.0)] == ["< 0.001", "0.012", "0.50", "1.00"]
