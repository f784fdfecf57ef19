"""The page on using the API in a node of one's own: its code runs, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from support.places import ROOT

from uhd_edge.robot.__main__ import main

PAGE = (ROOT / "robot" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_code_of_the_page_runs_from_top_to_bottom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # where the measured machine is remembered
    code = "\n".join(block for block in BLOCKS if "rclpy" not in block)
    exec(compile(code, "robot/README.md", "exec", dont_inherit=True), {"__name__": "page"})
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].startswith("JX7 stop")
    assert printed.splitlines()[2:4] == ["1", "the white star"]
    assert "Plan(" in printed
    assert "this frame is broken, the next one may not be:" in printed


def test_the_code_for_ros_is_at_least_python() -> None:
    (block,) = [block for block in BLOCKS if "rclpy" in block]
    compile(block, "robot/README.md", "exec", dont_inherit=True)


def test_the_page_names_every_setting_of_the_node_and_no_other() -> None:
    variables = {option.envvar for option in main.params if isinstance(option, click.Option) and option.envvar}
    assert set(re.findall(r"UHD_[A-Z_]+", PAGE)) == variables
