"""The node in a real dataflow, run by dora's own command on this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.places import EXAMPLES
from support.robot.dora_events import STAR

if TYPE_CHECKING:
    from collections.abc import Sequence

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'uhd-edge[dora]'")
pytest.importorskip("dora", reason="dora-rs is not installed (it has no wheel for this Python or machine)")

DORA = Path(sys.executable).with_name("dora")

needs_command = pytest.mark.skipif(not DORA.exists(), reason="dora's command is not installed: pip install dora-rs-cli")


def write_dataflow(folder: Path, plan: Sequence[Sequence[dict[str, str]]], environment: dict[str, str]) -> list[str]:
    """Write a dataflow in which a camera plays `plan` to the node, and return the command that runs it."""
    tests = Path(__file__).parent
    flow = {
        "nodes": [
            {
                "id": "camera",
                "path": sys.executable,
                "args": f"{tests / 'dora_camera.py'} {EXAMPLES} '{json.dumps(plan)}'",
                "inputs": {"health": "uhd/health"},
                "outputs": ["image", "question"],
            },
            {
                "id": "uhd",
                "path": sys.executable,
                "args": "-m uhd_edge.robot",
                "env": environment,
                "inputs": {"image": "camera/image", "question": "camera/question"},
                "outputs": ["answer", "health"],
            },
            {
                "id": "sink",
                "path": sys.executable,
                "args": f"{tests / 'dora_sink.py'} {folder / 'record.jsonl'}",
                "inputs": {"answer": "uhd/answer", "health": "uhd/health"},
            },
        ]
    }
    (folder / "flow.yml").write_text(json.dumps(flow))  # JSON is YAML
    return [str(DORA), "run", "flow.yml"]


def recorded(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "record.jsonl").read_text().splitlines()]


def run_dataflow(
    folder: Path, plan: Sequence[Sequence[dict[str, str]]], **environment: str
) -> tuple[list[dict[str, Any]], subprocess.CompletedProcess[str]]:
    """Play `plan` to the node and return what it put out, and how `dora run` ended."""
    command = write_dataflow(folder, plan, environment)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return recorded(folder), done


def image(name: str, encoding: str) -> dict[str, str]:
    return {"image": name, "encoding": encoding}


@needs_command
def test_a_dataflow_asks_about_the_newest_frame_and_survives_broken_ones(tmp_path: Path) -> None:
    plan = [
        [{"question": STAR}, image("bench.png", "rgb8")],
        [image("bench.png", "bgr8")],
        [image("bench.png", "cut off")],
        [{"noise": ""}],
        [image("wide.png", "png")],
        [{"question": "Which object is the leftmost?"}],
        [image("sliced.jpg", "jpeg"), image("sliced.jpg", "depth16"), image("wide.png", "rgb8")],
    ]
    out, done = run_dataflow(tmp_path, plan, UHD_MAX_TOKENS="32")
    assert done.returncode == 0, done.stdout[-2000:]
    answers = [entry for entry in out if entry["id"] == "answer"]
    health = [json.loads(entry["text"]) for entry in out if entry["id"] == "health"]
    assert [entry["text"] for entry in answers][:2] == ["JX7", "JX7"]
    assert answers[-1]["text"] == "the black circle"
    assert answers[-1]["about"]["question"] == "Which object is the leftmost?"
    assert answers[-1]["about"]["frame"] == 6
    said = [entry["message"] for entry in health if entry["state"] == "error"]
    assert "bytes instead of" in said[0]
    assert said[1] == "the input `question` is not a question; send an array with one string"
    assert (health[0]["state"], health[-1]["state"]) == ("ready", "stopped")
    assert health[-1]["frames"] == 7
    asked = {entry["frame"] for entry in health if "frame" in entry}
    assert health[-1]["dropped"] == 7 - len(asked)


@needs_command
def test_settings_reach_a_node_that_measures_its_budget_first_and_ends_when_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "schema.json").write_text(json.dumps({"type": "integer", "minimum": 0, "maximum": 9}))
    settings = {
        "UHD_QUESTION": "How many objects are there?",
        "UHD_SCHEMA": str(tmp_path / "schema.json"),
        "UHD_MODE": "4x",
        "UHD_MAX_SLICES": "1",
        "UHD_BUDGET_MS": "60000",
    }
    command = write_dataflow(tmp_path, [[image("sliced.jpg", "jpeg")], [], []], settings)
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as dora:
        assert dora.stdout is not None
        said = ""
        for line in dora.stdout:
            said += line
            if r"\"state\": \"answered\"" in line:  # now it waits for the next frame
                dora.send_signal(signal.SIGINT)
    assert dora.returncode == 0, said
    assert "uhd finished successfully" in said
    ready, answer, *_ = recorded(tmp_path)
    assert json.loads(ready["text"])["state"] == "ready"
    assert json.loads(answer["text"]) in range(10)
    assert said.index("measuring how fast this machine is in 4x") < said.index(r"\"state\": \"ready\"")
    assert len(list((tmp_path / "cache" / "uhd-edge" / "costs").glob("*.json"))) == 2


@needs_command
def test_a_node_that_cannot_open_its_bundle_says_so_and_fails(tmp_path: Path) -> None:
    out, done = run_dataflow(tmp_path, [[], []], UHD_BUNDLE=str(tmp_path / "none"))
    (health,) = [json.loads(entry["text"]) for entry in out]
    assert health["state"] == "error"
    assert "none" in health["message"]
    assert done.returncode != 0


def test_outside_of_a_dataflow_the_command_says_what_it_is() -> None:
    command = [sys.executable, "-m", "uhd_edge.robot"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: dora starts this node: add it to a dataflow with `args: -m uhd_edge.robot`\n"


@needs_command
def test_the_example_of_a_dataflow_runs(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "dora", tmp_path / "dora")  # dora leaves its logs beside the dataflow
    for picture in EXAMPLES.glob("*.png"):
        shutil.copy(picture, tmp_path)
    environment = {**os.environ, "PATH": f"{DORA.parent}{os.pathsep}{os.environ['PATH']}"}
    command = [str(DORA), "run", str(tmp_path / "dora" / "dataflow.yml")]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as dora:
        assert dora.stdout is not None
        said = ""
        for line in dora.stdout:
            said += line
            if "answer: frame" in line and "the black circle" in line:
                dora.send_signal(signal.SIGINT)
    assert dora.returncode == 0, said
    assert "the black circle" in said
