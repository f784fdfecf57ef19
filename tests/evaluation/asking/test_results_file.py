"""Rows outlive whatever stops a run: a kill in the middle of a line, a full disk, another process."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from uhd_edge.evaluation.asking.results_file import ResultsFile, read_rows, results_name
from uhd_edge.evaluation.asking.row import Row
from uhd_edge.rows import journal
from uhd_edge.rows.errors import ResultsError
from uhd_edge.runtime.errors import OutputError

HEAD = {"format": 1, "data": "abc"}
ROWS = [Row(number, str(number), answer=f"answer {number}\n\u00e4 \ud800") for number in range(3)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with ResultsFile(tmp_path / "answers" / "one.jsonl", HEAD) as opened:
        for row in ROWS:
            opened.append(row)
    return tmp_path / "answers" / "one.jsonl"


def test_rows_are_read_as_they_were_written(file: Path) -> None:
    rows = read_rows(file)
    assert [rows[number].name for number in range(3)] == ["0", "1", "2"]
    assert rows[1].answer == "answer 1\n\u00e4 ?"
    assert json.loads(file.read_bytes().splitlines()[0]) == HEAD


def test_a_half_written_line_is_dropped_and_its_question_can_be_asked_again(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    assert list(read_rows(file)) == [0, 1]
    with ResultsFile(file, HEAD) as opened:
        opened.append(ROWS[2])
    assert file.read_bytes() == whole


def test_a_half_written_line_leaves_nothing_behind_however_long_it_was(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"question": 3, "answer": "' + b"long " * 1000)
    with ResultsFile(file, HEAD):
        pass
    assert file.read_bytes() == whole


def test_lines_that_a_power_failure_left_in_pieces_are_passed_over(file: Path) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1] + b"\0" * 40 + b"\n" + lines[3])
    assert list(read_rows(file)) == [0, 2]


def test_a_half_written_head_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_bytes(b'{"format"')
    with ResultsFile(tmp_path / "one.jsonl", HEAD):
        pass
    assert json.loads((tmp_path / "one.jsonl").read_bytes()) == HEAD


def test_the_later_row_about_a_question_counts(file: Path) -> None:
    with ResultsFile(file, HEAD) as opened:
        opened.append(Row(1, "1", error="no picture"))
    assert read_rows(file)[1].error == "no picture"


def test_a_full_disk_leaves_the_rows_before_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = file.read_bytes()
    real = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        room = len(whole) + 10 - offset
        if room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[:room], offset)

    with ResultsFile(file, HEAD) as opened:
        monkeypatch.setattr(journal.os, "pwrite", full)
        with pytest.raises(OutputError, match=r"No space left on device.; what is answered is kept"):
            opened.append(ROWS[0])
        assert file.read_bytes() == whole
        monkeypatch.undo()
        opened.append(ROWS[0])
    assert len(file.read_bytes()) > len(whole)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match="taken: cannot be written"):
        ResultsFile(tmp_path / "taken" / "one.jsonl", HEAD)


def test_only_one_process_writes(file: Path) -> None:
    with ResultsFile(file, HEAD), pytest.raises(ResultsError, match="another run is writing to it"):
        ResultsFile(file, HEAD)
    with ResultsFile(file, HEAD) as opened:
        opened.close()
        opened.close()


def test_another_head_is_refused_and_has_another_name(file: Path) -> None:
    with pytest.raises(ResultsError, match="its first line was changed"):
        ResultsFile(file, HEAD | {"data": "abd"})
    names = {results_name("16x, 9 slices, int8", head) for head in (HEAD, HEAD | {"data": "abd"})}
    assert len(names) == 2
    assert all(name.startswith("16x-9-slices-int8-") for name in names)
