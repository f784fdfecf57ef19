"""The recipe for people with a device packs what it found, whatever fails on the way."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from support.places import ROOT

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
printf '#!/bin/sh\\ntrue\\n' >.venv/bin/pip
chmod +x .venv/bin/*
"""


def tool(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    return found or pytest.skip(f"{name} is not installed; pip install -e '.[dev]'")


def test_the_recipe_notes_what_failed_and_packs_the_table(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "device", tmp_path / ".ci")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "make").write_text(MAKE)
    (tmp_path / "bin" / "make").chmod(0o755)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "bundle.json").write_text('{"int8-tensorrt": 1}')
    done = subprocess.run(
        [str(tmp_path / ".ci" / "device"), "mine"],
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("to send back: device-report.tar.gz\n"), done.stderr
    with tarfile.open(tmp_path / "device-report.tar.gz") as archive:
        texts = {Path(one.name).name: archive.extractfile(one).read().decode() for one in archive if one.isfile()}
    assert texts["table.txt"] == "an Orin\n| engine | verified |\n"
    assert texts["build-int8.txt"] == "uhd build device-report/bundle --target here --precision int8\n"
    assert texts["test-gpu.txt"].startswith("make test-gpu UHD_BUNDLE=mine\n")
    assert "build: failed with exit code 1\n" in texts["steps.txt"]
    assert "test-gpu: done\n" in texts["steps.txt"]
    assert "bundle.json" not in texts


@pytest.mark.parametrize("script", ["device", "arm-kit"])
def test_scripts_that_run_elsewhere_are_clean_for_shellcheck(script: str) -> None:
    found = subprocess.run([tool("shellcheck"), ROOT / ".ci" / script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("jetpack", ["6.2", "7.2"])
def test_the_dockerfile_of_a_jetpack_is_clean_for_hadolint(jetpack: str) -> None:
    file = ROOT / "examples" / "containers" / f"jetpack-{jetpack}.Dockerfile"
    found = subprocess.run([tool("hadolint"), file], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")
