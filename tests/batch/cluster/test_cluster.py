"""A cluster of several processes writes the rows that lanes write, also when a worker is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest
from support.batches.orders import QUESTIONS, draw_pictures, order

from uhd_edge.batch.cluster import pool
from uhd_edge.batch.cluster.answering import GROUPS_A_BLOCK, Cluster, ClusterOptions, connected
from uhd_edge.batch.cluster.pool import BLOCKS_A_WORKER, WINDOW
from uhd_edge.batch.groups import Group, read_groups
from uhd_edge.batch.lanes import LaneCount, Lanes
from uhd_edge.batch.row import Row
from uhd_edge.cli import main as cli
from uhd_edge.runtime.errors import ModelError, OptionError

pytest.importorskip("ray", reason="Ray is not installed: pip install 'uhd-edge[ray]'")

PICTURES = 48
WORKERS = 2


def import_what_the_tests_do(environment: pytest.MonkeyPatch) -> None:
    """For the workers, which are processes of their own."""
    paths = [str(Path(__file__).parents[3]), str(Path(__file__).parents[2])]
    environment.setenv("PYTHONPATH", os.pathsep.join(paths))
    environment.setenv("RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES", str(80 * 2**20))
    environment.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of which one is broken."""
    folder = draw_pictures(tmp_path_factory.mktemp("cluster") / "pictures", PICTURES)
    (folder / "00007.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def cluster(pictures: Path) -> Iterator[Cluster]:
    """A cluster on this machine, whose two workers open their bundles once for all tests."""
    with pytest.MonkeyPatch.context() as environment:
        import_what_the_tests_do(environment)
        asked = order(pictures, QUESTIONS[:1])
        with connected(asked.asking, ClusterOptions(workers=WORKERS, threads=1)) as opened:
            yield opened


@pytest.fixture(scope="module")
def told(pictures: Path) -> list[Row]:
    """The rows that lanes write."""
    asked = order(pictures, QUESTIONS[:1])
    with Lanes(asked.asking, LaneCount(2, 1)) as lanes:
        return [row for rows in lanes.answer(read_groups(asked.source, asked.questions)) for row in rows]


def workers() -> set[int]:
    """The processes of actors that have a bundle open."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, owner = (process / "cmdline").read_bytes(), process.stat().st_uid
        except OSError:
            continue
        if b"ray::BatchWorker" in command and owner == os.getuid():
            found.add(int(process.name))
    return found


def test_rows_are_complete_and_equal_though_a_worker_is_killed(
    cluster: Cluster, pictures: Path, told: list[Row]
) -> None:
    asked = order(pictures, QUESTIONS[:1])
    before = workers()
    stream = cluster.answer(read_groups(asked.source, asked.questions))
    rows = list(next(stream))
    opened = workers() - before
    os.kill(min(opened), signal.SIGKILL)
    rows += [row for of_group in stream for row in of_group]
    assert len(opened) == WORKERS
    assert rows[7].error is not None
    assert rows == told


def test_rows_as_they_are_ready_are_the_same_ones(cluster: Cluster, pictures: Path, told: list[Row]) -> None:
    asked = order(pictures, QUESTIONS[:1])
    groups = read_groups(asked.source, asked.questions)
    rows = [row for of_group in cluster.answer(groups, ordered=False) for row in of_group]
    assert sorted(rows, key=lambda row: row.number) == told


def test_no_more_is_read_ahead_than_the_workers_need(cluster: Cluster, pictures: Path) -> None:
    asked = order(pictures, QUESTIONS[:1])
    one = next(read_groups(asked.source, asked.questions))
    broken = replace(one, pictures=(pictures / "00007.png",))
    read = count()

    def endless() -> Iterator[Group]:
        while True:
            yield replace(broken, asked=(replace(one.asked[0], number=next(read)),))

    stream = cluster.answer(endless())
    numbers = [row.number for _ in range(100) for row in next(stream)]
    stream.close()
    assert numbers == list(range(100))
    assert next(read) <= 100 + WORKERS * (WINDOW + BLOCKS_A_WORKER) * GROUPS_A_BLOCK


class EndOfProcess:
    """Ends the process that receives it."""

    def __reduce__(self) -> tuple[Callable[[int], NoReturn], tuple[int]]:
        return os._exit, (1,)


def test_pictures_that_no_worker_survives_end_the_run(
    cluster: Cluster, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MOST_DEATHS", 2)
    asked = order(pictures, QUESTIONS[:1])

    def deadly() -> Iterator[Group]:
        for group in read_groups(asked.source, asked.questions):
            yield replace(group, pictures=(EndOfProcess(),))  # type: ignore[arg-type]

    with pytest.raises(ModelError, match=r"^2 workers of the cluster died, .* with 000\d\d\.png"):
        list(cluster.answer(deadly()))


def test_where_there_is_no_cluster_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import_what_the_tests_do(monkeypatch)
    asked = order(draw_pictures(tmp_path / "pictures", 1), QUESTIONS[:1])
    with (
        pytest.raises(OptionError, match="--ray auto: no cluster there"),
        connected(asked.asking, ClusterOptions("auto")),
    ):
        pass
    command = ["batch", str(tmp_path / "pictures"), "-q", "?", "-o", str(tmp_path / "out.jsonl"), "--ray", "auto"]
    assert cli.exit_code(command) == 1
    assert "no cluster there" in capsys.readouterr().err
