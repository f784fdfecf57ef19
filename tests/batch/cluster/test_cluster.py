"""A cluster of several processes writes the rows that lanes write, also when a worker is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.batches.orders import QUESTIONS, draw_pictures, order

from uhd_edge.batch.cluster.answering import ClusterOptions, connected
from uhd_edge.batch.groups import read_groups
from uhd_edge.batch.lanes import LaneCount, Lanes
from uhd_edge.cli import main as cli
from uhd_edge.runtime.errors import OptionError

pytest.importorskip("ray.data", reason="Ray is not installed: pip install 'uhd-edge[ray]'")

PICTURES = 64


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers import what the tests do."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[3]), str(Path(__file__).parents[2])]))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def workers() -> list[int]:
    """The processes of actors that have a bundle open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, owner = (process / "cmdline").read_bytes(), process.stat().st_uid
        except OSError:
            continue
        if b"MapWorker" in command and owner == os.getuid():
            found.append(int(process.name))
    return found


def test_rows_are_complete_and_equal_though_a_worker_is_killed(tmp_path: Path) -> None:
    asked = order(draw_pictures(tmp_path / "pictures", PICTURES), QUESTIONS[:1])
    (tmp_path / "pictures" / "00007.png").write_bytes(b"no picture")
    asked = order(tmp_path / "pictures", QUESTIONS[:1])
    before = set(workers())
    with connected(asked.asking, ClusterOptions(workers=2, threads=1)) as cluster:
        stream = cluster.answer(read_groups(asked.source, asked.questions))
        rows = list(next(stream))
        opened = set(workers()) - before
        os.kill(min(opened), signal.SIGKILL)
        rows += [row for of_group in stream for row in of_group]
    assert len(opened) == 2
    assert [row.number for row in rows] == list(range(PICTURES))
    assert rows[7].error is not None
    with Lanes(asked.asking, LaneCount(1, 1)) as lanes:
        assert rows == [row for of in lanes.answer(read_groups(asked.source, asked.questions)) for row in of]


def test_where_there_is_no_cluster_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = order(draw_pictures(tmp_path / "pictures", 1), QUESTIONS[:1])
    with (
        pytest.raises(OptionError, match="--ray auto: no cluster there"),
        connected(asked.asking, ClusterOptions("auto")),
    ):
        pass
    command = ["batch", str(tmp_path / "pictures"), "-q", "?", "-o", str(tmp_path / "out.jsonl"), "--ray", "auto"]
    assert cli.exit_code(command) == 1
    assert "no cluster there" in capsys.readouterr().err
