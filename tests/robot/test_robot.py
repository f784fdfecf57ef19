"""The node in a real dataflow, run by dora's own command on this machine, and its parts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from support.places import EXAMPLES

from uhd_edge.robot.frames import image_of
from uhd_edge.robot.inbox import Inbox, Work
from uhd_edge.robot.node import Answerer
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'uhd-edge[dora]'")
pytest.importorskip("dora", reason="dora-rs is not installed (it has no wheel for this Python or machine)")
DORA = Path(sys.executable).with_name("dora")
STAR = "What is the code on the white star?"

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
    assert said[1] == "what came as a question is none; send an array with one string"
    assert (health[0]["state"], health[-1]["state"]) == ("ready", "stopped")
    assert health[-1]["frames"] == 7
    asked = {entry["frame"] for entry in health if "frame" in entry}
    assert health[-1]["dropped"] == 7 - len(asked)


@needs_command
def test_settings_of_the_dataflow_reach_the_node_and_an_answer_may_keep_to_a_schema(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps({"type": "integer", "minimum": 0, "maximum": 9}))
    out, done = run_dataflow(
        tmp_path,
        [[image("sliced.jpg", "jpeg")], []],
        UHD_QUESTION="How many objects are there?",
        UHD_SCHEMA=str(tmp_path / "schema.json"),
        UHD_MODE="4x",
        UHD_MAX_SLICES="1",
    )
    assert done.returncode == 0, done.stdout[-2000:]
    (answer,) = [entry for entry in out if entry["id"] == "answer"]
    assert json.loads(answer["text"]) in range(10)


@needs_command
def test_a_stop_ends_a_node_that_waits_and_dora_calls_that_a_success(tmp_path: Path) -> None:
    command = write_dataflow(tmp_path, [[], []], {})
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as dora:
        assert dora.stdout is not None
        said = ""
        for line in dora.stdout:
            said += line
            if "sink" in line and "ready" in line and "frames" in line:
                dora.send_signal(signal.SIGINT)
    assert dora.returncode == 0, said
    assert "uhd finished successfully" in said
    assert json.loads(recorded(tmp_path)[0]["text"])["state"] == "ready"


@needs_command
def test_a_node_that_cannot_open_its_bundle_says_so_and_fails(tmp_path: Path) -> None:
    out, done = run_dataflow(tmp_path, [[], []], UHD_BUNDLE=str(tmp_path / "none"))
    (health,) = [json.loads(entry["text"]) for entry in out]
    assert health["state"] == "error"
    assert "none" in health["message"]
    assert done.returncode != 0


@needs_command
def test_a_node_with_a_budget_has_measured_the_machine_before_it_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out, done = run_dataflow(tmp_path, [[]], UHD_BUDGET_MS="500")
    assert done.returncode == 0, done.stdout[-2000:]
    assert json.loads(out[0]["text"])["state"] == "ready"
    assert len(list((tmp_path / "cache" / "uhd-edge" / "costs").glob("*.json"))) == 2


@needs_command
def test_a_senseless_budget_is_told_at_once_and_not_with_every_frame(tmp_path: Path) -> None:
    out, done = run_dataflow(tmp_path, [[], []], UHD_BUDGET_MS="0")
    (health,) = [json.loads(entry["text"]) for entry in out]
    assert (health["state"], "budget_ms is 0.0" in health["message"]) == ("error", True)
    assert done.returncode != 0


def test_outside_of_a_dataflow_the_command_says_what_it_is() -> None:
    command = [sys.executable, "-m", "uhd_edge.robot"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: this is a node that dora starts: name it in a dataflow, see robot/README.md\n"


def frame(pixels: np.ndarray) -> Any:
    return pyarrow.array(pixels.ravel())


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", lambda rgb: rgb),
        ("BGR8", lambda rgb: rgb[:, :, ::-1]),
        ("rgba8", lambda rgb: np.concatenate([rgb, rgb[:, :, :1]], 2)),
        ("bgra8", lambda rgb: np.concatenate([rgb[:, :, ::-1], rgb[:, :, :1]], 2)),
    ],
)
def test_raw_pixels_become_rgb_whatever_their_order(encoding: str, pixels: Any) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)
    seen = image_of(frame(pixels(rgb)), {"width": 5, "height": 3, "encoding": encoding})
    assert np.array_equal(seen, rgb)


def test_grey_pixels_become_three_channels() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    seen = image_of(frame(grey), {"width": 3, "height": 2, "encoding": "mono8"})
    assert np.array_equal(seen, np.asarray(Image.fromarray(grey).convert("RGB")))


@pytest.mark.parametrize(
    ("value", "metadata", "said"),
    [
        (pyarrow.array([1, 2]), {"encoding": "png"}, "a frame is int64"),
        (pyarrow.array([1, None], pyarrow.uint8()), {"encoding": "png"}, "it must be a UInt8Array"),
        (None, {"encoding": "png"}, "a frame is NoneType"),
        (frame(np.zeros(3, np.uint8)), {}, "the encoding 'none'"),
        (frame(np.zeros(3, np.uint8)), {"encoding": "yuyv", "width": 1, "height": 1}, "the encoding 'yuyv'"),
        (frame(np.zeros(3, np.uint8)), {"encoding": "rgb8", "width": 1}, "height is None"),
        (frame(np.zeros(3, np.uint8)), {"encoding": "rgb8", "width": 1, "height": -1}, "height is -1"),
        (frame(np.zeros(3, np.uint8)), {"encoding": "rgb8", "width": True, "height": 1}, "width is True"),
        (frame(np.zeros(4, np.uint8)), {"encoding": "rgb8", "width": 1, "height": 1}, "4 bytes instead of 3"),
    ],
)
def test_what_is_no_frame_is_an_image_error(value: Any, metadata: dict[str, Any], said: str) -> None:
    with pytest.raises(ImageError, match=said):
        image_of(value, metadata)


def sent(kind: str, value: object = None) -> dict[str, Any]:
    return {"type": "INPUT", "id": kind, "value": value, "metadata": {}}


STOP = {"type": "STOP", "id": "MANUAL"}
LAST = {"type": "STOP", "id": "ALL_INPUTS_CLOSED"}


def test_the_newest_frame_is_taken_and_those_before_it_are_counted() -> None:
    inbox = Inbox("What?")
    for number in range(4):
        inbox.put(sent("image", number))
    work = inbox.take()
    assert (work.number, work.dropped, work.value) == (3, 3, 3)  # type: ignore[union-attr]
    inbox.put(sent("image", 4))
    inbox.put(LAST)
    assert inbox.take().dropped == 3  # type: ignore[union-attr]
    assert inbox.take() is None
    assert (inbox.frames, inbox.dropped) == (5, 3)


def test_a_new_question_is_asked_about_the_newest_frame_again_and_drops_none() -> None:
    inbox = Inbox("")
    inbox.put(sent("image", 0))
    inbox.put(sent("question", pyarrow.array(["first"])))
    assert inbox.take().question == "first"  # type: ignore[union-attr]
    inbox.put(sent("question", pyarrow.array(["second"])))
    work = inbox.take()
    assert (work.number, work.question, work.dropped) == (0, "second", 0)  # type: ignore[union-attr]


def test_without_a_question_or_a_frame_there_is_no_work() -> None:
    for event in (sent("image", 0), sent("question", pyarrow.array(["What?"])), sent("other")):
        inbox = Inbox("")
        inbox.put(event)
        inbox.put(LAST)
        assert inbox.take() is None


@pytest.mark.parametrize("value", [pyarrow.array([1]), pyarrow.array([" "]), pyarrow.array(["a", "b"]), None, b"What?"])
def test_what_is_no_question_is_told_and_the_last_question_stays(value: Any) -> None:
    inbox = Inbox("What?")
    inbox.put(sent("question", value))
    assert inbox.take() == ["what came as a question is none; send an array with one string"]
    inbox.put(sent("image", 0))
    assert inbox.take().question == "What?"  # type: ignore[union-attr]


def test_an_error_of_dora_is_told_in_one_line() -> None:
    inbox = Inbox("What?")
    inbox.put({"type": "ERROR", "error": "lost\nbacktrace"})
    assert inbox.take() == ["lost"]


def test_an_ordered_stop_leaves_what_is_there_alone() -> None:
    inbox = Inbox("What?")
    inbox.put(sent("image", 0))
    inbox.put(STOP)
    assert inbox.take() is None
    assert inbox.stopped


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


class Recorder:
    """A node whose dataflow is this test: it remembers what was sent."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(())

    def send_output(self, output_id: str, data: Any, _metadata: dict[str, Any]) -> None:
        text = data[0].as_py()
        self.states.append(json.loads(text)["state"] if output_id == "health" else output_id)


class StoppedMeanwhile(Inbox):
    """An order to stop that comes when the answer has just begun."""

    def take(self) -> Work | list[str] | None:
        work = super().take()
        self.stopped = True
        return work


@pytest.mark.parametrize(
    ("kind", "told"), [(Inbox, ["ready", "answer", "answered", "stopped"]), (StoppedMeanwhile, ["ready", "stopped"])]
)
def test_an_ordered_stop_ends_the_answer_in_work(kind: type[Inbox], told: list[str]) -> None:
    inbox, node = kind(STAR), Recorder()
    picture = np.frombuffer((EXAMPLES / "bench.png").read_bytes(), np.uint8)
    inbox.put({"type": "INPUT", "id": "image", "value": pyarrow.array(picture), "metadata": {"encoding": "png"}})
    inbox.put(LAST)
    with Assistant(context=1024) as assistant:
        Answerer(node, assistant, {"max_tokens": 16}).run(inbox)
    assert node.states == told
