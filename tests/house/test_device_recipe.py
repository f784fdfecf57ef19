"""The recipe for people with a device packs what it found, whatever fails on the way."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.places import ROOT

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle

# `make ask` makes an environment whose uhd and pip tell what they are called with, and whose Python is this one.
MAKE = """#!/bin/sh
echo "make $*"
if [ "$1" = test-gpu ]; then
    echo "===== to paste into an issue ====="
    echo "an Orin"
    echo "| engine | verified |"
    echo "===== 3 passed in 2.00s ====="
    exit 0
fi
mkdir -p .venv/bin
printf '#!/bin/sh\\necho "uhd $*"\\n[ "$1" != build ]\\n' >.venv/bin/uhd
printf '#!/bin/sh\\necho "pip $*"\\n' >.venv/bin/pip
printf '#!/bin/sh\\nexec "%s" "$@"\\n' "$PYTHON" >.venv/bin/python
chmod +x .venv/bin/*
"""
NVIDIA_SMI = """#!/bin/sh
case $* in
    *compute_cap*) echo {capability} ;;
    *) echo "a card, 580.1, 16376 MiB" ;;
esac
"""


@dataclass(frozen=True)
class Reported:
    """What a run of the recipe left: its exit code, what it printed at its end, and the texts of its report."""

    code: int
    printed: str
    errors: str
    texts: dict[str, str]


@dataclass(frozen=True)
class Checkout:
    """A checkout with the recipe alone, on a machine whose `make` and `nvidia-smi` are ours."""

    folder: Path

    def run(
        self, *arguments: str, capability: str = "8.6", cwd: Path | None = None, models: Path | None = None
    ) -> Reported:
        smi = self.folder / "bin" / "nvidia-smi"
        smi.write_text(NVIDIA_SMI.format(capability=capability))
        smi.chmod(0o755)
        environment = {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin",
            "PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "UHD_MODELS": str(models or self.folder / "models"),
        }
        done = subprocess.run(
            [str(self.folder / ".ci" / "device"), *arguments],
            env=environment, capture_output=True, text=True, check=False, cwd=cwd or self.folder,
        )  # fmt: skip
        packed = self.folder / "device-report.tar.gz"
        texts = {}
        if packed.exists():
            with tarfile.open(packed) as archive:
                files = [one for one in archive if one.isfile()]
                texts = {Path(one.name).name: archive.extractfile(one).read().decode() for one in files}
        return Reported(done.returncode, done.stdout, done.stderr, texts)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "checkout"
    for name in (".ci", "bin", "runtime"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "device", folder / ".ci")
    (folder / "bin" / "make").write_text(MAKE)
    (folder / "bin" / "make").chmod(0o755)
    return Checkout(folder)


@pytest.fixture
def bundle(tmp_path: Path, fp8_tiny: Bundle) -> Path:
    """A bundle with FP8 graphs, in a folder of the caller's."""
    return shutil.copytree(fp8_tiny.path, tmp_path / "caller" / "mine")


def tool(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    return found or pytest.skip(f"{name} is not installed; pip install -e '.[dev]'")


def test_the_recipe_notes_what_failed_and_packs_the_table(checkout: Checkout, bundle: Path) -> None:
    """The folder is taken from where the caller is, and what is packed lies in the checkout."""
    found = checkout.run("mine", capability="8.9", cwd=bundle.parent)
    assert found.printed.endswith(f"to send back: {checkout.folder}/device-report.tar.gz\n"), found.errors
    assert found.texts["table.txt"] == "an Orin\n| engine | verified |\n"
    assert "build-fp8: failed with exit code 1\n" in found.texts["steps.txt"]
    assert "test-gpu: done\n" in found.texts["steps.txt"]
    assert "bundle.json" not in found.texts
    copy = f"{checkout.folder}/device-report/bundle"
    assert found.texts["test-gpu.txt"].startswith(f"make test-gpu UHD_BUNDLE={copy}\n")
    assert found.texts["build-fp8.txt"] == f"uhd build {copy} --target rtx-40 --precision fp8\n"


def test_a_name_of_uhd_list_is_a_bundle_too(checkout: Checkout, bundle: Path) -> None:
    found = checkout.run("mine", models=bundle.parent)
    assert "inspect: done" in found.texts["steps.txt"], found.errors
    assert "calibrate.txt" not in found.texts


@pytest.mark.parametrize("named", ["nowhere", "./nowhere", "/nowhere"])
def test_what_is_no_bundle_ends_it_with_one_line(checkout: Checkout, named: str) -> None:
    found = checkout.run(named)
    assert (found.code, found.errors.count("\n")) == (1, 1)
    assert "nowhere" in found.errors


@pytest.mark.parametrize(
    ("capability", "target", "extras"),
    [
        ("12.0", "rtx-50", "pull,calibration,gpu,rtx"),
        ("8.6", "rtx-30", "pull,calibration,gpu,rtx"),
        ("9.0", "here", "pull,calibration,gpu"),
    ],
)
def test_what_is_installed_fits_the_card(checkout: Checkout, capability: str, target: str, extras: str) -> None:
    found = checkout.run(capability=capability)
    lines = found.texts["install.txt"].splitlines()
    assert f"pip install -e .[{extras}]" in lines, found.errors
    assert lines[-1].startswith("pip install --no-deps --force-reinstall onnxruntime-gpu")
    assert f"--target {target} " in found.texts["build-fp16.txt"]
    assert found.texts["calibrate.txt"].endswith("--precision int8,fp8\n")


@pytest.mark.parametrize(
    ("capability", "built"), [("8.6", "fp16"), ("8.9", "fp16 fp8"), ("9.0", "fp16 fp8"), ("12.0", "fp16 fp8 nvfp4")]
)
def test_fp8_and_nvfp4_are_built_where_the_card_has_them(
    checkout: Checkout, bundle: Path, capability: str, built: str
) -> None:
    found = checkout.run(str(bundle), capability=capability)
    expected = {f"build-{precision}.txt" for precision in built.split()}
    assert {name for name in found.texts if name.startswith("build-")} == expected, found.errors


@pytest.mark.parametrize("script", ["device", "arm-kit"])
def test_scripts_that_run_elsewhere_are_clean_for_shellcheck(script: str) -> None:
    found = subprocess.run([tool("shellcheck"), ROOT / ".ci" / script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("jetpack", ["6.2", "7.2"])
def test_the_dockerfile_of_a_jetpack_is_clean_for_hadolint(jetpack: str) -> None:
    file = ROOT / "examples" / "containers" / f"jetpack-{jetpack}.Dockerfile"
    found = subprocess.run([tool("hadolint"), file], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("jetpack", ["6.2", "7.2"])
def test_building_an_image_imports_nothing_that_needs_the_boards_libraries(jetpack: str) -> None:
    """They are mounted when a container starts, and not while its image is built."""
    lines = (ROOT / "examples" / "containers" / f"jetpack-{jetpack}.Dockerfile").read_text().splitlines()
    steps = " ".join(line for line in lines if not line.startswith("#"))
    assert "find_spec('tensorrt')" in steps
    for loading in ("import tensorrt", "import pycuda", "import uhd_edge", "trtexec ", "&& uhd "):
        assert loading not in steps
