"""What killed processes leave is told from what is being written, and removed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from uhd_edge.engines.unfinished import is_abandoned, locked, remove_abandoned, size_on_disk

HOLD = """
import sys
from pathlib import Path
from uhd_edge.engines.unfinished import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture(params=["file", "folder"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / ".result.partial"
    if request.param == "file":
        path.write_bytes(b"1234")
    else:
        path.mkdir()
        (path / "part").write_bytes(b"1234")
    return path


def test_what_another_process_writes_stays_and_what_a_killed_one_left_goes(path: Path) -> None:
    said: list[str] = []
    with held_by_another_process(path) as process:
        assert not is_abandoned(path)
        remove_abandoned([path], said.append)
        assert (path.exists(), said) == (True, [])
        process.send_signal(signal.SIGKILL)
        process.wait()
        remove_abandoned([path], said.append)
    assert not path.exists()
    assert said == [f"removed {path} (0.0 MB), left by a run that was killed"]


def test_what_is_gone_already_is_no_error_and_not_told_of(tmp_path: Path) -> None:
    said: list[str] = []
    remove_abandoned([tmp_path / "gone"], said.append)
    assert is_abandoned(tmp_path / "gone")
    assert said == []


def test_a_lock_that_is_held_is_refused_to_who_does_not_wait(path: Path) -> None:
    with held_by_another_process(path), pytest.raises(BlockingIOError), locked(path, wait=False):
        pass


def test_sizes_are_those_of_all_files(path: Path) -> None:
    assert size_on_disk(path) == 4
