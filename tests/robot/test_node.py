"""The node answers until it is told to stop."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.places import EXAMPLES
from support.robot.dora_events import LAST, STAR

from uhd_edge.robot.__main__ import answer_frames
from uhd_edge.robot.inbox import Inbox, Work
from uhd_edge.robot.node import Answerer
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("dora", reason="dora-rs is not installed (it has no wheel for this Python or machine)")
pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'uhd-edge[dora]'")


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


def test_a_senseless_budget_is_told_before_the_model_is_opened() -> None:
    settings = {"question": "", "bundle": "none", "max_tokens": 16, "budget_ms": 0.0, "budget_share": 0.95}
    with pytest.raises(OptionError, match=r"budget_ms is 0\.0"):
        answer_frames(Recorder(), settings, None)
