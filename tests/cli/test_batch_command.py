"""`uhd batch` writes one row for each picture and question, whatever stops it on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.batches.orders import QUESTIONS, draw_pictures

from uhd_edge.cli import main as cli

OPTIONS = ["-q", QUESTIONS[0], "-q", QUESTIONS[1], "--max-tokens", "12", "--lanes", "2"]
PICTURES = 12

# What a killed process did: it ended in the middle of a row, or after one.
KILLED = """
import os, signal, sys
from uhd_edge.cli import main as cli
from uhd_edge.rows.journal import Journal

stop_by, rows, half = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
append, written = Journal.append, []
def append_some(journal, line):
    if len(written) == rows:
        if half:
            os.pwrite(journal._descriptor, line[:half], journal.size)
        os.kill(os.getpid(), getattr(signal, stop_by))
    append(journal, line)
    written.append(line)

Journal.append = append_some
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
cli.run(sys.argv[4:])
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pictures(tmp_path_factory.mktemp("batch") / "pictures", PICTURES)


@pytest.fixture(scope="module")
def unbroken(pictures: Path) -> bytes:
    """The rows of a run that nobody stopped."""
    assert cli.exit_code(["batch", str(pictures), "-o", str(pictures.parent / "unbroken.jsonl"), *OPTIONS]) == 0
    return (pictures.parent / "unbroken.jsonl").read_bytes()


def test_there_is_a_row_for_each_picture_and_question(unbroken: bytes, pictures: Path) -> None:
    rows = [json.loads(line) for line in unbroken.splitlines()]
    asked = [(f"{number:05}.png", question) for number in range(PICTURES) for question in QUESTIONS]
    assert [(row["image"], row["question"]) for row in rows] == asked
    assert {(row["question"], row["answer"]) for row in rows} == {(QUESTIONS[0], "JX7"), (QUESTIONS[1], "1")}


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "unordered.jsonl"])
def test_a_run_that_is_killed_again_and_again_writes_what_an_unbroken_one_does(
    name: str, unbroken: bytes, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    command = ["batch", str(pictures), "-o", str(tmp_path / name), *OPTIONS]
    if name.startswith("unordered"):
        command.append("--unordered")
    draw = np.random.default_rng(7)
    for _ in range(2 if "--unordered" in command else 3):
        rows, half = int(draw.integers(0, 7)), int(draw.integers(0, 80))
        done = subprocess.run(
            [sys.executable, "-c", KILLED, "SIGKILL", str(rows), str(half), *command], capture_output=True, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert cli.exit_code(command) == 0
    assert "rows are in" in capsys.readouterr().err
    if name.endswith("jsonl"):
        lines = (tmp_path / name).read_bytes().splitlines()
        assert sorted(lines, key=lambda line: int(json.loads(line)["number"])) == unbroken.splitlines()
        assert "--unordered" in command or lines == unbroken.splitlines()
    else:
        import pyarrow.parquet

        rows_read = pyarrow.parquet.read_table(tmp_path / name).to_pylist()
        assert rows_read == [json.loads(line) for line in unbroken.splitlines()]
    assert cli.exit_code(command) == 0
    assert "24 of 24 rows are in" in capsys.readouterr().err


def test_an_interrupt_says_what_is_missing(unbroken: bytes, pictures: Path, tmp_path: Path) -> None:
    command = ["batch", str(pictures), "-o", str(tmp_path / "out.jsonl"), *OPTIONS]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "SIGINT", "3", "0", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130, done.stderr
    assert "of 24 rows are missing; the same command goes on" in done.stderr
    assert "Traceback" not in done.stderr
    assert cli.exit_code(command) == 0
    assert (tmp_path / "out.jsonl").read_bytes() == unbroken


def test_a_schema_and_what_is_chosen_reach_the_model(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jsonschema")
    (tmp_path / "schema.json").write_text('{"type": "integer"}')
    (tmp_path / "list.txt").write_text(f"{pictures}/00000.png\nmissing.png\n")
    command = ["batch", str(tmp_path / "list.txt"), "-o", str(tmp_path / "out.jsonl"), "-q", QUESTIONS[1]]
    assert (
        cli.exit_code([*command, "--mode", "4x", "--max-tokens", "2", "--schema", str(tmp_path / "schema.json")]) == 0
    )
    first, second = (json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines())
    assert (first["vision_tokens"], json.loads(first["answer"])) == (64, 1)
    assert "missing.png: no such file" in second["error"]
    assert "1 of 2 questions have no answer; their rows say why" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none/", "-q", "?"], "none: no such file or folder\n"),
        (["none.txt", "-q", "?"], "none.txt: no such file or folder\n"),
        (["list.txt", "-q", "?", "--split", "test"], "list.txt: only a folder of parquet files has splits"),
        (["*.png", "-q", "?", "--split", "test"], "*.png: only a folder of parquet files has splits"),
        ([".", "-q", "?", "--split", "test"], "only a folder of parquet files has splits"),
        (["rows.jsonl"], "rows.jsonl, line 1: no question; the columns are image"),
        (["rows.jsonl", "--column", "question=query"], "line 1: no column 'query'; the columns are image"),
        (["rows.jsonl", "-q", "?", "-o", "out.csv"], "out.csv: give a name that ends in .jsonl"),
        (["broken.jsonl", "-q", "?"], "broken.jsonl, line 1: not JSON"),
        (["empty.jsonl", "-q", "?"], "empty.jsonl: no rows"),
        (["./nowhere", "rows.jsonl", "-q", "?"], "nowhere: no such bundle folder"),
        (["rows.jsonl", "-q", "?", "-o", "rows.jsonl"], "rows.jsonl: exists, and is no run of uhd batch"),
        (["rows.jsonl", "-q", "?", "--temperature", "-1"], "temperature is -1"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    arguments: list[str],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"image": "a.png"}\n')
    (tmp_path / "broken.jsonl").write_text("{\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "list.txt").write_text("a.png\n")
    (tmp_path / "a.png").write_text("")
    output = [] if "-o" in arguments else ["-o", "out.jsonl"]
    assert cli.exit_code(["batch", *arguments, *output]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert line in captured.err
    assert not (tmp_path / "out.jsonl").exists()
