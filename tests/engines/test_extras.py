"""What is said where an optional package is missing, broken, or its import is interrupted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import ROOT

from uhd_edge.engines.errors import MissingExtraError
from uhd_edge.engines.extras import LLAMA_CPP, PACKAGES, PYCUDA, extra_needed

PROJECT = ROOT / "pyproject.toml"
WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None  # importing it raises what importing an absent package does
from uhd_edge.cli.main import run
run(sys.argv[2:])
"""


def run_without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, package, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("package", "what", "instead"),
    [
        (
            "torch",
            "converting the checkpoint's language model needs torch",
            ", or give a ready one with --llm FILE.gguf",
        ),
        ("huggingface_hub", "downloading needs huggingface-hub", ""),
    ],
)
def test_an_export_without_a_package_of_its_extra_says_how_to_install_it(
    package: str, what: str, instead: str, tmp_path: Path
) -> None:
    done = run_without(package, "export", "owner/checkpoint", str(tmp_path / "bundle"))
    assert (done.returncode, done.stderr) == (1, f"uhd: {what}: pip install 'uhd-edge[export]'{instead}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", PACKAGES["pull"])
def test_a_pull_without_a_package_of_its_extra_says_how_to_install_it(package: str) -> None:
    done = run_without(package, "pull", "minicpm-v-4.6")
    said = f"uhd: a pull needs {PACKAGES['pull'][package]}: pip install 'uhd-edge[pull]'\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_a_calibration_without_a_package_of_its_extra_says_how_to_install_it(tmp_path: Path) -> None:
    done = run_without("onnx_ir", "calibrate", str(tmp_path / "bundle"))
    said = "uhd: a calibration needs onnx-ir: pip install 'uhd-edge[calibration]'\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_a_module_that_no_extra_brings_is_not_called_a_missing_extra(tmp_path: Path) -> None:
    done = run_without("fcntl", "export", "owner/checkpoint", str(tmp_path / "bundle"))
    assert done.returncode == 1
    assert done.stderr.startswith("uhd: unexpected ModuleNotFoundError: import of fcntl halted")


def failed_import(error: BaseException, *, cause: BaseException | None = None) -> None:
    with extra_needed("export", "a test"):
        raise error from cause


def test_a_module_inside_a_package_of_the_extra_names_the_package() -> None:
    with pytest.raises(MissingExtraError, match=r"^a test needs onnx-ir: pip install 'uhd-edge\[export\]'$"):
        failed_import(ModuleNotFoundError("No module named 'onnx_ir'", name="onnx_ir.passes"))


def test_a_package_that_is_there_and_broken_is_named_as_what_it_is() -> None:
    with pytest.raises(ImportError, match=r"^libtorch\.so"):
        failed_import(ImportError("libtorch.so: cannot open shared object file", name="torch"))


def test_an_interrupt_that_an_import_turned_into_an_error_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt):
        failed_import(ModuleNotFoundError("initialization failed", name="torch"), cause=KeyboardInterrupt())


@pytest.mark.parametrize("extra", PACKAGES)
def test_the_packages_of_an_extra_are_those_that_the_project_lists(extra: str) -> None:
    listed = re.search(rf"^{extra} = \[(.*?)\]", PROJECT.read_text(), re.DOTALL | re.MULTILINE)
    assert listed
    assert sorted(PACKAGES[extra].values()) == sorted(re.findall(r'"([a-z-]+)[<>=]', listed[1]))


@pytest.mark.parametrize("wanted", [LLAMA_CPP, PYCUDA])
def test_what_people_are_told_to_install_by_itself_has_the_bounds_of_the_project(wanted: str) -> None:
    """Installing without bounds may bring a version that does not work, and replace one that does."""
    assert f'"{wanted}"' in PROJECT.read_text()
    package = wanted.partition(">")[0]
    texts = [ROOT / "README.md", ROOT / "Makefile", ROOT / ".ci" / "device"]
    texts += [*(ROOT / "docs").glob("*.md"), *(ROOT / "examples" / "containers").iterdir()]
    commands = {
        (text.name, line.strip())
        for text in texts
        for line in text.read_text().splitlines()
        if re.search(rf"^[^`|]*\bpip install\b.*[ \"]{package}\b", line)  # a command, and no sentence
    }
    assert len(commands) > 3
    assert {command for command in commands if f'"{wanted}"' not in command[1]} == set()
