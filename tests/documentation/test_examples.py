"""The pictures that come with the repository, as a newcomer asks about them."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from support.places import ROOT

from uhd_edge.runtime.assistant import Assistant

QUESTIONS: dict[str, list[dict[str, str]]] = {}
for line in (ROOT / "examples" / "questions.jsonl").read_text().splitlines():
    QUESTIONS.setdefault(json.loads(line)["image"], []).append(json.loads(line))


@pytest.fixture(scope="module")
def assistant():
    with Assistant() as opened:
        yield opened


@pytest.mark.parametrize("picture", list(QUESTIONS))
def test_every_question_about_an_example_is_answered_right(picture: str, assistant: Assistant) -> None:
    for entry in QUESTIONS[picture]:
        assert assistant.ask(ROOT / "examples" / picture, entry["question"], max_tokens=16).text == entry["answer"]


def test_make_ask_asks_a_question_whose_answer_is_known_and_right() -> None:
    makefile = (ROOT / "Makefile").read_text()
    picture = re.search(r"^PICTURE := examples/(.+)$", makefile, re.MULTILINE)[1]
    question = re.search(r"^QUESTION := (.+)$", makefile, re.MULTILINE)[1]
    answers = {entry["question"]: entry["answer"] for entry in QUESTIONS[picture]}
    command = [sys.executable, "-m", "uhd_edge.cli", "ask", str(ROOT / "examples" / picture), question]
    printed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert printed.stdout == answers[question] + "\n"
    assert printed.stderr == ""
