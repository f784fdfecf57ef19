"""Whatever ends a command becomes an exit code and at most one line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from support.places import EXAMPLES

from uhd_edge.cli import main as cli
from uhd_edge.cli.commands.ask import _media_input
from uhd_edge.engines.errors import UhdError
from uhd_edge.runtime.errors import ImageError


def raising(error: BaseException) -> click.Command:
    @click.command("broken")
    def broken() -> None:
        raise error

    return broken


@pytest.fixture
def add_command(monkeypatch: pytest.MonkeyPatch):
    def add(command: click.Command) -> None:
        monkeypatch.setitem(cli.uhd.commands, command.name, command)

    return add


def test_the_help_says_what_each_command_does_in_one_whole_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.partition("Commands:\n")[2].splitlines()]
    assert [line.split()[0] for line in lines] == list(cli.COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") and len(line) < 78 for line in lines)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code([command, "--help"]) == 0
    assert "Usage: uhd " + command in capsys.readouterr().out


def test_wrong_usage_ends_with_2_and_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["ask", "picture.png", "what?", "--mode", "64x"]) == 2
    assert "Usage: uhd ask" in capsys.readouterr().err


def test_an_error_of_ours_is_one_line_on_stderr_and_1(add_command, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(raising(UhdError("something\nis wrong; do this")))
    assert cli.exit_code(["broken"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "uhd: something is wrong; do this\n"
    assert captured.out == ""


def test_an_unexpected_error_is_one_line_that_names_it(add_command, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(raising(ZeroDivisionError("division by zero")))
    assert cli.exit_code(["broken"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "unexpected ZeroDivisionError: division by zero" in error
    assert "--debug" in error


def test_debug_lets_the_traceback_through(add_command) -> None:
    add_command(raising(ZeroDivisionError("division by zero")))
    with pytest.raises(ZeroDivisionError):
        cli.exit_code(["--debug", "broken"])


def test_an_interrupt_ends_with_130_and_no_traceback(add_command, capsys: pytest.CaptureFixture[str]) -> None:
    add_command(raising(KeyboardInterrupt()))
    assert cli.exit_code(["broken"]) == 130
    assert capsys.readouterr().err.strip() == "uhd: interrupted"


@pytest.mark.parametrize(
    "script",
    [
        "run(['ask', '--help'])",
        "uhd.add_command(click.Command('say', callback=lambda: print('something'))); run(['say'])",
    ],
    ids=["while something is said", "before what was said is flushed"],
)
def test_a_reader_that_goes_away_is_no_traceback(script: str) -> None:
    script = f"import click; from uhd_edge.cli.main import run, uhd; {script}"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=buffered
    )
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait() == 1
    assert error == ""


@pytest.mark.parametrize(
    "command", [["inspect", "{}"], ["ask", str(EXAMPLES / "bench.png"), "what?", "--bundle", "{}"]]
)
def test_a_bundle_that_is_not_there_is_one_line(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = str(tmp_path / "absent")
    assert cli.exit_code([word.replace("{}", absent) for word in command]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"uhd: {absent}: no such bundle folder")
    assert error.count("\n") == 1


def test_a_full_disk_behind_stdout_is_one_line_and_1() -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "uhd_edge.cli", "doctor"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert process.returncode == 1
    assert process.stderr == "uhd: standard output: No space left on device\n"


@pytest.mark.parametrize("closed", [True, False])
def test_a_closed_standard_input_is_one_line(closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"a picture"))
    monkeypatch.setattr(sys, "stdin", stream)
    assert _media_input("-", max_frames=128, stack_frames=1) == b"a picture"
    stream.close()
    monkeypatch.setattr(sys, "stdin", stream if closed else None)
    with pytest.raises(ImageError, match=r"^standard input is closed; "):
        _media_input("-", max_frames=128, stack_frames=1)
