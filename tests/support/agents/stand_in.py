"""The stand-in of MiniCPM-V 4.6, where one was made: its real template and vocabulary."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.agents.templates import AGENT_TEMPLATE, JSON_AGENT_TEMPLATE, KEEPING_TEMPLATE

VARIABLE = "UHD_STAND_IN"


def stand_in() -> Path | None:
    """The folder that the environment names; None without one."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def chat_templates() -> list[object]:
    """Chat templates for tests to be run with: ours, and that of MiniCPM-V 4.6 where the stand-in is."""
    folder = stand_in()
    real = None if folder is None else (folder / "chat_template.jinja").read_text(encoding="utf-8")
    missing = pytest.mark.skipif(real is None, reason=f"{VARIABLE} names no stand-in; see benchmarks/checkpoint")
    return [
        pytest.param(AGENT_TEMPLATE, id="tags"),
        pytest.param(JSON_AGENT_TEMPLATE, id="json"),
        pytest.param(KEEPING_TEMPLATE, id="keeping"),
        pytest.param(real, id="MiniCPM-V 4.6", marks=missing),
    ]
