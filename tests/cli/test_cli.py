"""The command line: exit codes, one line per error, nothing heavy imported for help."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from importlib import metadata
from pathlib import Path

import click
import pytest
from support.places import EXAMPLES

from uhd_edge.cli import main as cli
from uhd_edge.cli.commands.ask import _image_input
from uhd_edge.cli.options import parse_gpu_layers
from uhd_edge.cli.printing import print_pieces
from uhd_edge.engines.errors import UhdError
from uhd_edge.runtime.answer import Answer, Usage
from uhd_edge.runtime.checking.doctor import EXTRAS
from uhd_edge.runtime.conversation.answer_stream import AnswerStream
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


ANSWER = Answer("A table", "stop", Usage(0, 1, 1), (), {}, "16x")

EXAMPLE = EXAMPLES / "bench.png"


def printed_by(script: str) -> str:
    """What a Python of its own prints that runs `script`."""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("arguments", [["--help"], ["ask", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = {"numpy", "PIL", "pydantic", "onnxruntime", "llama_cpp", "jinja2", "torch", "onnx", "transformers"}
    script = f"import sys\nfrom uhd_edge.cli.main import exit_code\nexit_code({arguments})\n"
    assert printed_by(f"{script}print({heavy} & set(sys.modules))").splitlines()[-1] == "set()"


def test_a_command_does_not_import_the_others() -> None:
    script = "import sys\nfrom uhd_edge.cli.main import exit_code\nexit_code(['ask', '--help'])\n"
    modules = printed_by(f"{script}print(*sys.modules)").splitlines()[-1].split()
    assert "uhd_edge.cli.commands.ask" in modules
    assert not {f"uhd_edge.cli.commands.{name}" for name in cli.COMMANDS if name != "ask"} & set(modules)


def test_the_help_says_what_each_command_does_in_one_whole_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.partition("Commands:\n")[2].splitlines()]
    assert [line.split()[0] for line in lines] == list(cli.COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") and len(line) < 78 for line in lines)


def test_the_list_of_commands_imports_none_of_them() -> None:
    script = "import sys\nfrom uhd_edge.cli.main import exit_code\nexit_code(['--help'])\n"
    modules = printed_by(f"{script}print(*sys.modules)").splitlines()[-1].split()
    assert not {f"uhd_edge.cli.commands.{name}" for name in cli.COMMANDS} & set(modules)


def test_asking_imports_nothing_that_only_other_ways_need() -> None:
    spared = {"torch", "onnx", "transformers", "tensorrt", "tensorrt_rtx", "openvino", "pycuda", "matplotlib"}
    spared |= {"uhd_edge.engines.building.engine_record", "uhd_edge.runtime.budget.cost_measuring"}
    script = "import sys\nfrom uhd_edge.cli.main import exit_code\n"
    script += f"assert exit_code(['ask', {str(EXAMPLE)!r}, 'What?']) == 0\n"
    assert printed_by(f"{script}print({spared} & set(sys.modules))").splitlines()[-1] == "set()"


def test_an_answered_question_ends_the_process_without_taking_it_apart() -> None:
    script = "import atexit\nfrom uhd_edge.cli.main import run\natexit.register(print, 'taken apart')\n"
    answered = printed_by(f"{script}run(['ask', {str(EXAMPLE)!r}, 'How many circles are there?', '--json'])")
    assert json.loads(answered)["answer"]
    assert printed_by(f"{script}run(['ask', '--help'])").endswith("taken apart\n")


def test_the_start_is_not_spent_on_looking_for_garbage() -> None:
    script = "import gc, sys\nfrom uhd_edge.cli.__main__ import run\nsys.argv = ['uhd', '--help']\n"
    script += "try:\n    run()\nexcept SystemExit:\n    print(gc.isenabled(), gc.get_threshold()[0])"
    assert printed_by(script).splitlines()[-1] == "True 50000"


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


@pytest.mark.parametrize(("text", "layers"), [("0", 0), ("12", 12), ("all", -1)])
def test_gpu_layers_are_a_number_or_all(text: str, layers: int) -> None:
    assert parse_gpu_layers(text) == layers


@pytest.mark.parametrize("text", ["some", "1.5", "-3"])
def test_other_gpu_layers_are_wrong_usage(text: str) -> None:
    with pytest.raises(click.UsageError):
        parse_gpu_layers(text)


def test_doctor_names_what_asking_needs_and_how_to_get_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["doctor", "--json"]) == 0
    findings = {finding["part"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert findings["onnxruntime"]["state"] == "ok"
    assert "CPU" in findings["onnxruntime"]["detail"]
    assert findings["llama.cpp"]["state"] == "ok"
    int8 = findings["INT8 on the CPU"]["detail"]
    assert re.match(r"auto takes (onnxruntime|openvino): .*\b(VNNI|extra|pip install|compared)", int8)
    installed = {distribution.name.lower().replace("_", "-") for distribution in metadata.distributions()}
    for extra, distributions in EXTRAS.items():
        missing = [name for name in distributions if name not in installed]
        finding = findings[f"extra {extra}"]
        assert finding["state"] == ("absent" if missing else "ok")
        assert all(name in finding["detail"] for name in missing or distributions)
        assert (f'pip install "uhd-edge[{extra}]"' in finding["detail"]) == bool(missing)


@pytest.mark.parametrize("command", [["inspect", "{}"], ["ask", "picture.png", "what?", "--bundle", "{}"]])
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


def test_a_streamed_answer_begins_with_its_first_word(capsys: pytest.CaptureFixture[str]) -> None:
    def steps() -> Generator[str, None, Answer]:
        yield from ("\n", " \n A", " table ", "", "\n\nwith legs. ")  # models do begin with blank lines
        return ANSWER

    assert print_pieces(AnswerStream(steps())) is ANSWER
    assert capsys.readouterr().out == "A table \n\nwith legs. \n"


@pytest.mark.parametrize("closed", [True, False])
def test_a_closed_standard_input_is_one_line(closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"a picture"))
    monkeypatch.setattr(sys, "stdin", stream)
    assert _image_input("-", 128) == b"a picture"
    stream.close()
    monkeypatch.setattr(sys, "stdin", stream if closed else None)
    with pytest.raises(ImageError, match=r"^standard input is closed; "):
        _image_input("-", 128)


def test_looking_at_the_machine_reports_nothing_to_anybody(tmp_path: Path) -> None:
    unset = {name: value for name, value in os.environ.items() if name not in ("ORT_DISABLE_TELEMETRY", "CI")}
    command = [sys.executable, "-m", "uhd_edge.cli", "doctor"]
    environment = {**unset, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run(command, env=environment, capture_output=True, check=False)
    assert not (tmp_path / "cache").exists()
