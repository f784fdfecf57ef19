"""The long commands, and killing one at a moment of its time or of its changes of the disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT, BUNDLE, EXAMPLES = (ROOT / name for name in ("tiny/checkpoint", "runtime/uhd-tiny", "examples"))

# Runs `uhd` below a folder, and kills its process group instead of the change of that number; -1 counts all of them.
COUNTING = """
import os, signal, sys
folder, left = sys.argv[1], int(sys.argv[2])
count = 0

def is_change(event, given):
    if event == "open":
        return given[2] & (os.O_WRONLY | os.O_RDWR) != 0
    return event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")

def watch(event, given):
    global count
    if is_change(event, given) and isinstance(given[0], (str, bytes)) and folder in os.fsdecode(given[0]):
        if count == left:
            os.killpg(0, signal.SIGKILL)
        count += 1

sys.addaudithook(watch)
from uhd_edge.cli.main import exit_code
code = exit_code(sys.argv[3:])
print("changes:", count)
sys.exit(code)
"""


@dataclass(frozen=True)
class Command:
    """A command that writes into an empty folder: what lies there before, its arguments, and what it makes.

    `repeated` says that another run after one that ended makes the same; one that would be
    refused then, or number its files, is only cleaned up after.
    """

    name: str
    prepare: Callable[[Path], None]
    arguments: Callable[[Path], list[str]]
    result: str
    repeated: bool = True


def _copied_bundle(folder: Path) -> None:
    shutil.copytree(BUNDLE, folder / "bundle")


COMMANDS = {
    command.name: command
    for command in (
        Command(
            "export",
            _copied_bundle,
            lambda folder: ["export", str(CHECKPOINT), str(folder / "bundle"), "--force"],
            "bundle",
        ),
        Command(
            "calibrate",
            _copied_bundle,
            lambda folder: ["calibrate", str(folder / "bundle"), str(EXAMPLES), "--max-slices", "1"],
            "bundle",
            repeated=False,
        ),
        Command(
            "build",
            _copied_bundle,
            lambda folder: ["build", str(folder / "bundle"), "--target", "rtx-40", "--modes", "16x"],
            "bundle",
        ),
        Command(
            "kit",
            _copied_bundle,
            lambda folder: [
                *("build", str(folder / "bundle"), "--target", "orin", "--jetpack", "6.2"),
                *("--output", str(folder / "kit.tar.gz")),
            ],
            "kit.tar.gz",
            repeated=False,
        ),
    )
}


@dataclass(frozen=True)
class Whole:
    """A run that nobody killed: the files after it, its seconds and its changes of the disk."""

    after: dict[str, str]
    seconds: float
    changes: int


def run_whole(command: Command, folder: Path) -> Whole:
    """Run a command to its end in an empty folder."""
    command.prepare(folder)
    start = time.perf_counter()
    done = subprocess.run(counted(command, folder, -1), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command.name}: {done.stderr.strip().splitlines()[-1]}")
    changes = int(done.stdout.splitlines()[-1].removeprefix("changes: "))
    return Whole(contents(folder), time.perf_counter() - start, changes)


def kill_after(seconds: float, command: Command, folder: Path) -> None:
    """Start a command and kill its process group after `seconds`, unless it has ended."""
    with subprocess.Popen(
        counted(command, folder, -1), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def kill_at(change: int, command: Command, folder: Path) -> None:
    """Run a command whose process group is killed instead of the change of that number."""
    subprocess.run(counted(command, folder, change), capture_output=True, check=False, start_new_session=True)


def contents(folder: Path) -> dict[str, str]:
    """What every file contains, by its path: its SHA-256.

    Of an engine it is the size, and of its record all but the engine's own SHA-256, which has to be
    right: TensorRT-RTX writes a few other bytes into every engine.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): _content(path) for path in files}


def _content(file: Path) -> str:
    if file.suffix == ".engine":
        return f"{file.stat().st_size} bytes"
    content = file.read_bytes()
    if file.name.endswith(".engine.json"):
        engine = hashlib.sha256(file.with_suffix("").read_bytes()).hexdigest().encode()
        content = content.replace(engine, b"right")
    return hashlib.sha256(content).hexdigest()


def counted(command: Command, folder: Path, change: int) -> list[str]:
    """The command line of a run that is killed instead of the change of that number; -1 is one to its end."""
    return [sys.executable, "-c", COUNTING, str(folder), str(change), *command.arguments(folder)]
