"""Starting `uhd` imports nothing that is not needed, and ending it takes no time."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.places import EXAMPLES

from uhd_edge.cli import main as cli

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
    assert cli.module_of("ask") in modules
    assert not {cli.module_of(name) for name in cli.COMMANDS if name != "ask"} & set(modules)


def test_the_list_of_commands_imports_none_of_them() -> None:
    script = "import sys\nfrom uhd_edge.cli.main import exit_code\nexit_code(['--help'])\n"
    modules = printed_by(f"{script}print(*sys.modules)").splitlines()[-1].split()
    assert not {cli.module_of(name) for name in cli.COMMANDS} & set(modules)


def test_asking_imports_nothing_that_only_other_ways_need() -> None:
    spared = {"torch", "onnx", "transformers", "tensorrt", "tensorrt_rtx", "openvino", "pycuda", "matplotlib"}
    spared |= {"uhd_edge.engines.building.engine_record", "uhd_edge.runtime.budget.cost_measuring"}
    spared |= {f"uhd_edge.runtime.{step}" for step in ("schema.grammar", "tools.functions", "session")}
    spared |= {f"uhd_edge.runtime.{step}" for step in ("bundles.int8_record", "bundles.known_models", "prompt.canvas")}
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
    assert printed_by(script).splitlines()[-1] == "True 100000"
