"""`uhd eval` asks, prints and goes on after whatever stopped it; what cannot be asked is one line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.evaluation.example_questions import ROWS, write_rows
from support.places import EXAMPLES

from uhd_edge.cli import main as cli
from uhd_edge.evaluation.asking import run as asking
from uhd_edge.evaluation.asking.results_file import read_rows

OPTIONS = ["--max-tokens", "16", "--threads", "1"]

# What a killed process did: it ended after its third answer.
KILLED = """
import os, signal, sys
from uhd_edge.cli import main as cli
from uhd_edge.evaluation.asking.results_file import ResultsFile

append, answered = ResultsFile.append, []
def append_three(file, row):
    append(file, row)
    answered.append(row)
    if len(answered) == 3:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))

ResultsFile.append = append_three
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
cli.run(sys.argv[2:])
"""


@pytest.fixture
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of questions, in the folder that the command runs in."""
    monkeypatch.chdir(tmp_path)
    return write_rows(tmp_path, *ROWS)


def test_the_command_prints_a_table_and_writes_a_report(evaluated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["eval", str(evaluated), "--modes", "16x", "--max-slices", "1,9", *OPTIONS]
    assert cli.exit_code(command) == 0
    captured = capsys.readouterr()
    assert "16x, 9 slices, auto  100.0 %" in captured.out
    assert "beside 16x, 1 slice, auto:" in captured.out
    assert "eval-questions/report.html" in captured.err
    assert (evaluated.parent / "eval-questions" / "report.html").stat().st_size > 5000
    assert cli.exit_code([*command, "--json"]) == 0
    captured = capsys.readouterr()
    assert [one["score"]["mean"] for one in json.loads(captured.out)["settings"]] == [0.75, 1.0]
    assert "8 of 8 answers are in eval-questions already" in captured.err


@pytest.mark.parametrize(("stopped_by", "code"), [("SIGKILL", -signal.SIGKILL), ("SIGINT", 130)])
def test_a_run_that_was_stopped_goes_on_with_the_same_command(
    stopped_by: str, code: int, evaluated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", str(evaluated), "--modes", "16x", *OPTIONS]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, stopped_by, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    (file,) = (evaluated.parent / "eval-questions").glob("*.jsonl")
    assert list(read_rows(file)) == [0, 1, 2]
    if stopped_by == "SIGINT":
        assert "of 4 answers are missing; the same command goes on from there" in done.stderr
        assert "Traceback" not in done.stderr
    assert cli.exit_code(command) == 0
    captured = capsys.readouterr()
    assert "3 of 4 answers are in eval-questions already" in captured.err
    assert "100.0 %" in captured.out
    assert len(file.read_bytes().splitlines()) == 5


def test_every_question_about_the_examples_is_answered_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", str(EXAMPLES / "questions.jsonl"), "--output", str(tmp_path / "kept"), *OPTIONS, "--limit", "6"]
    assert cli.exit_code([*command, "--json"]) == 0
    (setting,) = json.loads(capsys.readouterr().out)["settings"]
    assert setting["score"]["mean"] == 1.0
    assert set(setting["groups"]) == {"code", "labelled", "count shapes", "count colours", "presence", "extreme"}


def test_what_is_chosen_reaches_the_assistant(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class ClosedError(Exception):
        pass

    class Assistant:
        def __init__(self, _: object, **opened: object) -> None:
            asked.append(opened)
            raise ClosedError

    monkeypatch.setattr(asking, "Assistant", Assistant)
    options = ["--modes", "4x", "--max-slices", "3", "--precisions", "fp32", "--engines", "onnxruntime"]
    assert cli.exit_code(["eval", str(evaluated), *options, "--context", "512", "--gpu-layers", "2"]) == 1
    (opened,) = asked
    assert (opened["mode"], opened["max_slices"], opened["precision"], opened["engine"]) == (
        "4x",
        3,
        "fp32",
        "onnxruntime",
    )
    assert (opened["context"], opened["gpu_layers"], opened["threads"]) == (512, 2, None)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none.jsonl"], "none.jsonl: no such file or folder\n"),
        (["./nowhere", "questions.jsonl"], "nowhere: no such bundle folder"),
        (["questions.jsonl", "--metric", "bleu"], "no metric 'bleu'; valid are exact_match"),
        (["questions.jsonl", "--column", "answer=label"], "line 1: no column 'label'; the columns are image, question"),
        (["questions.jsonl", "--column", "label=answer"], "no column 'label' is read"),
        (["questions.jsonl", "--modes", "8x"], "no mode '8x'; valid are 16x, 4x"),
        (
            ["questions.jsonl", "--precisions", "fp32,int8"],
            "16x (fp32, fp16), 4x (fp32, fp16); make them: uhd calibrate ",
        ),
        (["questions.jsonl", "--max-slices", "0"], "max_slices is 0"),
        (["questions.jsonl", "--split", "test"], "only a folder of parquet files has splits"),
        (["nope/"], "nope: no such file or folder\n"),
        (["questions.jsonl", "--output", "questions.jsonl"], "questions.jsonl: cannot be written"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    arguments: list[str], line: str, evaluated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.exit_code(["eval", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert line in captured.err
    assert not (evaluated.parent / "eval-questions").exists()  # nothing was asked


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "b", "c"],
        ["a", "b", "--bundle", "c"],
        ["questions.jsonl", "--max-slices", "many"],
        ["questions.jsonl", "--column", "question"],
    ],
)
def test_wrong_usage_is_exit_code_two(arguments: list[str], evaluated: Path) -> None:
    assert cli.exit_code(["eval", *arguments]) == 2
