"""Outputs have each row once: after a kill, a power failure, a full disk, and not those of another run."""

from __future__ import annotations

import errno
import json
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pytest

from uhd_edge.batch.outputs import parquet
from uhd_edge.batch.outputs.json_lines import JsonLinesOutput
from uhd_edge.batch.outputs.opening import check_output, open_output
from uhd_edge.batch.outputs.parquet import JOURNAL, ParquetOutput
from uhd_edge.batch.row import Row
from uhd_edge.rows.errors import ResultsError
from uhd_edge.rows.journal import Journal
from uhd_edge.runtime.errors import OptionError, OutputError

HEAD: dict[str, Any] = {"format": 1, "questions": ["?"], "bundle": {"sha256": "abc"}}
ROWS = [Row(number, f"{number}.png", "?", answer=f"\u00e4 {number}\n") for number in range(10)]


class KilledError(Exception):
    """Stands for the end of the process: nothing after it runs."""


def killed(*_: object) -> NoReturn:
    raise KilledError


def write_on(output: JsonLinesOutput | ParquetOutput) -> None:
    for row in ROWS:
        if row.number not in output.finished:
            output.append(row)
    output.finish()


def read_parquet(folder: Path) -> list[dict[str, Any]]:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet

    read: list[dict[str, Any]] = pyarrow.parquet.read_table(folder).to_pylist()
    return read


def test_json_lines_are_one_line_a_row_and_nothing_else(tmp_path: Path) -> None:
    with open_output(tmp_path / "new" / "out.jsonl", HEAD) as output:
        write_on(output)
    lines = [json.loads(line) for line in (tmp_path / "new" / "out.jsonl").read_bytes().splitlines()]
    assert [(line["number"], line["answer"]) for line in lines] == [(row.number, row.answer) for row in ROWS]


@pytest.mark.parametrize("left", [b"", b'{"number": 4, "image": "4.p', b"\0" * 50 + b"\n" + ROWS[7].line()])
def test_json_lines_go_on_behind_the_last_whole_row(left: bytes, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    with JsonLinesOutput(file, HEAD) as output:
        write_on(output)
    whole = file.read_bytes()
    file.write_bytes(b"".join(row.line() for row in ROWS[:4]) + left)
    with JsonLinesOutput(file, HEAD) as output:
        assert len(output.finished) == 4
        write_on(output)
    assert file.read_bytes() == whole


def test_parquet_is_files_of_so_many_rows_in_order(tmp_path: Path) -> None:
    with ParquetOutput(tmp_path / "out.parquet", HEAD, rows_a_file=4) as output:
        write_on(output)
    assert sorted(file.name for file in (tmp_path / "out.parquet").glob("rows-*")) == [
        "rows-000000000000.parquet",
        "rows-000000000004.parquet",
        "rows-000000000008.parquet",
    ]
    assert [Row(**row) for row in read_parquet(tmp_path / "out.parquet")] == ROWS


@pytest.mark.parametrize(
    "place", ["pyarrow.parquet.write_table", "uhd_edge.batch.outputs.parquet.fsync", "Path.replace", "Journal.cut"]
)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_parquet_that_is_killed_anywhere_has_each_row_once(
    place: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    folder = tmp_path / "out.parquet"
    with ParquetOutput(folder, HEAD, rows_a_file=4):
        pass  # the head is written
    calls: Iterator[int] = count()
    owner, _, name = place.rpartition(".")
    target: Any = {"Path": Path, "Journal": Journal, "uhd_edge.batch.outputs.parquet": parquet}.get(owner)
    if target is None:
        import pyarrow.parquet as target
    real = getattr(target, name)
    monkeypatch.setattr(target, name, lambda *given: killed() if next(calls) == after else real(*given))
    # As the process would end: without a `finally`, what was under way stays.
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with suppress(KilledError), ParquetOutput(folder, HEAD, rows_a_file=4) as output:
        write_on(output)
    monkeypatch.undo()
    with ParquetOutput(folder, HEAD, rows_a_file=4) as output:
        write_on(output)
    assert [Row(**row) for row in read_parquet(folder)] == ROWS
    assert (folder / JOURNAL).read_bytes() == b""
    assert not list(folder.glob("*.unfinished"))


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_answers_of_another_run_are_refused_and_those_of_nobody_left_alone(name: str, tmp_path: Path) -> None:
    with open_output(tmp_path / name, HEAD) as output:
        write_on(output)
    with open_output(tmp_path / name, HEAD) as output:
        assert len(output.finished) == 10
    with pytest.raises(ResultsError, match=r"of another run \(other questions\)"):
        open_output(tmp_path / name, HEAD | {"questions": ["?", "!"]})
    (tmp_path / "mine.jsonl").write_text("my notes\n")
    (tmp_path / "mine.parquet").mkdir()
    (tmp_path / "mine.parquet" / "rows.parquet").write_bytes(b"mine")
    with pytest.raises(ResultsError, match="exists, and is no run of uhd batch"):
        open_output(tmp_path / f"mine{Path(name).suffix}", HEAD)
    assert (tmp_path / "mine.jsonl").read_text() == "my notes\n"


def test_rows_that_somebody_sorted_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    with JsonLinesOutput(file, HEAD) as output:
        write_on(output)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    before = file.read_bytes()
    with pytest.raises(ResultsError, match="row 1 is where 0 should be"):
        JsonLinesOutput(file, HEAD)
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_a_full_disk_is_one_line_and_loses_no_row(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = os.pwrite, count()

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if next(written) == 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with open_output(tmp_path / name, HEAD) as output, pytest.raises(OutputError, match="No space left on device"):
        write_on(output)
    with open_output(tmp_path / name, HEAD) as output:
        assert len(output.finished) == 6
        write_on(output)
        assert len(output.finished) == 10


def test_a_disk_that_is_full_for_a_parquet_file_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")

    def full(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(parquet, "fsync", full)
    folder = tmp_path / "out.parquet"
    with ParquetOutput(folder, HEAD, rows_a_file=4) as output, pytest.raises(OutputError, match="No space left"):
        write_on(output)
    assert not list(folder.glob("*.unfinished"))
    monkeypatch.undo()
    with ParquetOutput(folder, HEAD, rows_a_file=4) as output:
        write_on(output)
    assert [Row(**row) for row in read_parquet(folder)] == ROWS


def test_a_parquet_file_that_the_system_does_not_take_whole_is_one_line_and_is_written_later(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    folder, limits = tmp_path / "out.parquet", resource.getrlimit(resource.RLIMIT_FSIZE)
    with ParquetOutput(folder, HEAD) as output:
        for row in ROWS:
            output.append(row)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        try:
            with pytest.raises(OutputError, match=r"cannot be written \(File too large\); what is answered is kept"):
                output.finish()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(folder.glob("*.parquet")) + list(folder.glob("*.unfinished"))
    with ParquetOutput(folder, HEAD) as output:
        write_on(output)
    assert [Row(**row) for row in read_parquet(folder)] == ROWS


def test_only_one_process_writes(tmp_path: Path) -> None:
    with open_output(tmp_path / "out.jsonl", HEAD), pytest.raises(ResultsError, match="another run is writing to it"):
        open_output(tmp_path / "out.jsonl", HEAD)


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_rows_in_any_order_are_there_once_after_stops(name: str, tmp_path: Path) -> None:
    kind = partial(ParquetOutput, rows_a_file=4) if name.endswith("parquet") else JsonLinesOutput
    for numbers in ((3, 0, 7), (9, 1, 2, 8), (4,)):
        with kind(tmp_path / name, HEAD, ordered=False) as output:
            for number in numbers:
                output.append(ROWS[number])
    with kind(tmp_path / name, HEAD, ordered=False) as output:
        assert [number for number in range(10) if number not in output.finished] == [5, 6]
        write_on(output)
    if name.endswith("parquet"):
        rows = [Row(**row) for row in read_parquet(tmp_path / name)]
    else:
        rows = [Row(**json.loads(line)) for line in (tmp_path / name).read_bytes().splitlines()]
    assert [row.number for row in rows] == [3, 0, 7, 9, 1, 2, 8, 4, 5, 6]
    assert sorted(rows, key=lambda row: row.number) == ROWS


def test_a_row_that_is_there_twice_is_not_gone_on_with(tmp_path: Path) -> None:
    with JsonLinesOutput(tmp_path / "out.jsonl", HEAD, ordered=False) as output:
        output.append(ROWS[3])
    (tmp_path / "out.jsonl").write_bytes(ROWS[3].line() * 2)
    with pytest.raises(ResultsError, match="row 3 is there twice"):
        JsonLinesOutput(tmp_path / "out.jsonl", HEAD, ordered=False)


def test_a_name_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"ends in \.jsonl, or in \.parquet"):
        check_output(tmp_path / "out.csv")
    (tmp_path / "out.jsonl").mkdir()
    (tmp_path / "out.parquet").write_text("")
    for name in ("out.jsonl", "out.parquet"):
        with pytest.raises(ResultsError, match="is a f"):
            open_output(tmp_path / name, HEAD)
    with pytest.raises(OutputError, match="cannot be written"):
        open_output(tmp_path / "out.parquet" / "x.jsonl", HEAD)
