"""A stand-in of MiniCPM-V 4.6 behind its real vocabulary, settings and a template that writes what its own writes.

It is made of what `make test` has installed. The variable UHD_STAND_IN names another one.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.agents.templates import AGENT_TEMPLATE, JSON_AGENT_TEMPLATE, KEEPING_TEMPLATE
from support.places import ROOT

VARIABLE = "UHD_STAND_IN"
SCRIPTS = ROOT / "benchmarks" / "checkpoint"


@cache
def _public_files() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPTS / "public_files.py"))


def missing_for_stand_in() -> str:
    """What a stand-in cannot be made without; empty where one can be made, or is named."""
    if VARIABLE in os.environ:
        return ""
    needed = [_public_files()[name]() for name in ("vocabulary_file", "template_file")]
    return ", ".join(str(file) for file in needed if not file.is_file())


def make_stand_in(folder: Path) -> Path:
    """The stand-in that the environment names, or a small one in `folder`, which takes some twenty seconds."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    files, made = folder / "files", folder / "stand-in"
    for script, *arguments in (("public_files.py", files), ("stand_in.py", files, made, "--small")):
        subprocess.run([sys.executable, str(SCRIPTS / script), *map(str, arguments)], check=True)
    return made


def chat_templates() -> list[object]:
    """Chat templates for tests to be run with: ours, and that of MiniCPM-V 4.6 where it can be had."""
    return [
        pytest.param(AGENT_TEMPLATE, id="tags"),
        pytest.param(JSON_AGENT_TEMPLATE, id="json"),
        pytest.param(KEEPING_TEMPLATE, id="keeping"),
        _real_template(),
    ]


def _real_template() -> object:
    if named := os.environ.get(VARIABLE):
        file = Path(named) / "chat_template.jinja"
        return pytest.param(file.read_text(encoding="utf-8"), id="MiniCPM-V 4.6")
    file = _public_files()["template_file"]()
    if not file.is_file():
        reason = f"{file} is not there; remove that folder and fetch the converter again"
        return pytest.param(None, id="MiniCPM-V 4.6", marks=pytest.mark.skip(reason=reason))
    return pytest.param(_public_files()["chat_template"](), id="MiniCPM-V 4.6")
