"""A run over the example pictures in two settings, with a picture that is missing."""

from __future__ import annotations

import pytest
from support.evaluation.example_questions import ROWS, SETTINGS, order

from uhd_edge.evaluation.asking.results_file import ResultsFile
from uhd_edge.evaluation.asking.row import Row
from uhd_edge.evaluation.asking.run import Order
from uhd_edge.evaluation.report.summary import Summary, summarize

MISSING = {"image": "none.png", "question": "<b>Is & was?</b>", "answers": ["x", "<y>"], "group": "code", "id": "q<7>"}
RAN = "fp32 CPUExecutionProvider"
SECONDS = (0.5, 9.0, 0.1, 0.2, 0.0)  # the second picture was in the cache
ANSWERS = (("JX7", "1", "a red <star>", "the black circle", None), ("JX7", "1", "a orange square", "no", None))


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Order:
    """Five questions, answered by hand: the first setting gets the third wrong, the second one the fourth."""
    made = order(tmp_path_factory.mktemp("report"), *ROWS, MISSING)
    for setting, answers in zip(SETTINGS, ANSWERS, strict=True):
        with ResultsFile(made.file(setting), made.head(setting)) as file:
            for number, answer in enumerate(answers):
                error = "none.png: no such file" if answer is None else None
                row = Row(
                    number, str(number), answer, error, SECONDS[number], 2, number == 1, 16, 40 + number, 3, "stop", RAN
                )
                file.append(row)
    return made


@pytest.fixture(scope="session")
def summary(asked: Order) -> Summary:
    return summarize(asked)
