"""A build that is killed tells its user so: at once by the process that waits for it, and at the next build."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from uhd_edge.engines.building.ended import describe_signal
from uhd_edge.runtime.bundles.bundle import Bundle

# Stands in for what ends a builder: the moment it compiles the first graph, a signal arrives that nobody can handle,
# or the one that Ctrl-C sends to all processes of the terminal, which is ignored where a shell started the tests in the
# background.
ENDING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from uhd_edge.cli import __main__
from uhd_edge.engines.building import build

def ended(*arguments, **options):
    os.kill({target}, signal.{name})
    signal.pause()

build.compile_graph = ended
sys.argv = ["uhd", *sys.argv[1:]]
__main__.run()
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for x86-64 alone")
    return shutil.copytree(Bundle.open().path, tmp_path / "mine", ignore=shutil.ignore_patterns("engines"))


def build(bundle: Path, name: str, target: str = "os.getpid()") -> subprocess.CompletedProcess[str]:
    program = ENDING.format(name=name, target=target)
    command = [sys.executable, "-c", program, "build", str(bundle), "--target", "rtx-40", "--modes", "16x"]
    return subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [("SIGKILL", "most likely for lack of memory"), ("SIGSEGV", "it crashed"), ("SIGABRT", "it gave up by itself")],
)
def test_a_build_that_is_ended_says_by_what(bundle: Path, name: str, meaning: str) -> None:
    done = build(bundle, name)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"uhd: the build was ended by signal {int(signal.Signals[name])} ({name}), {meaning}")


def test_the_next_build_says_that_one_was_killed_and_leaves_nothing_of_it(bundle: Path) -> None:
    build(bundle, "SIGKILL")
    folder = bundle / "engines" / "rtx-40"
    assert [file.name for file in folder.iterdir()] == [".encoder-16x-fp16.engine.partial"]
    again = build(bundle, "SIGTERM")
    assert (
        f"removed {folder / '.encoder-16x-fp16.engine.partial'}, left by a run that was killed: the last build of "
        "encoder-16x-fp16 was ended before it was done; if nobody stopped it"
    ) in again.stderr


def test_ctrl_c_ends_both_processes_with_the_exit_code_of_an_interrupt(bundle: Path) -> None:
    done = build(bundle, "SIGINT", target="0")  # the group: what a terminal does
    assert (done.returncode, done.stderr.splitlines()[-1]) == (130, "uhd: interrupted")
    assert [file.name for file in (bundle / "engines" / "rtx-40").iterdir()] == []


def test_an_error_of_a_build_is_passed_on_as_it_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uhd_edge.cli", "build", str(tmp_path / "none"), "--target", "rtx-40"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_every_signal_that_ends_a_process_is_described_and_only_one_blames_memory_first() -> None:
    texts = {number: describe_signal(number) for number in (2, 6, 9, 11, 15, 40)}
    assert all(f"signal {number}" in text for number, text in texts.items())
    assert [number for number, text in texts.items() if "most likely for lack of memory" in text] == [9]
