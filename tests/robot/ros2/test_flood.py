"""A running node, over DDS: more frames than it can answer, and messages that are none."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.places import EXAMPLES
from support.robot.ros_graph import encoded, needs_ros, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.robot.ros_graph import Graph

pytestmark = needs_ros
BENCH = encoded((EXAMPLES / "bench.png").read_bytes())
FRAMES = 200
PARTS = ("answered", "dropped", "waiting", "failed", "unchanged", "cut_off")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    parameters = {"image_transport": "both", "max_tokens": 32, "question": "How many objects are there?"}
    with running(tmp_path_factory.mktemp("graph"), parameters) as graph:
        yield graph


def counts(graph: Graph) -> dict[str, int]:
    """The node's counts once no frame is in work."""
    while True:
        values = graph.peer.do("diagnostics")["values"]
        found = {part: int(values[f"frames_{part}"]) for part in ("seen", *PARTS)}
        if found["seen"] == sum(found[part] for part in PARTS):
            return found | {"memory": int(values["memory_mb"])}


def test_of_200_frames_at_30_a_second_the_newest_win_and_the_memory_stays_level(graph: Graph) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    film: dict[str, Any] = {
        "encoding": "rgb8",
        "width": 320,
        "height": 240,
        "step": 960,
        "data": encoded(pixels.tobytes()),
    }
    graph.peer.do("send_film", frames=20, rate=30, **film)
    before = counts(graph)
    answers = [graph.peer.do("answer_json") for _ in range(before["answered"])]
    graph.peer.do("send_film", frames=FRAMES, rate=30, **film)
    after = counts(graph)
    seen, answered = after["seen"] - before["seen"], after["answered"] - before["answered"]
    answers = [graph.peer.do("answer_json") for _ in range(answered)]
    stamps = [answer["header"]["stamp"]["nanosec"] for answer in answers]
    numbers = [answer["frame"] for answer in answers]
    assert stamps == sorted(set(stamps))
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == after["seen"] - 1
    assert FRAMES // 4 < seen <= FRAMES  # on a busy machine, sensor data is lost on the way
    assert (after["failed"], after["waiting"]) == (0, 0)
    assert [answer["dropped"] for answer in answers][-1] == after["dropped"]
    assert seen == answered + after["dropped"] - before["dropped"]
    assert after["memory"] - before["memory"] < 25


def broken_messages() -> list[dict[str, Any]]:
    """500 messages: wrong sizes, encodings and bytes, files that are cut off, and bytes that are no message."""
    chance = random.Random(13)
    encodings = ["rgb8", "bgr8", "mono16", "yuv422", "nv12", "bayer_rggb8", "", "h264", "16SC7", "\u2028", "x" * 500]
    found: list[dict[str, Any]] = []
    for number in range(500):
        data = encoded(chance.randbytes(chance.randrange(300)))
        if number % 5 == 4:
            found.append(
                {"do": "send_bytes", "kind": chance.choice(["Image", "CompressedImage", "question"]), "data": data}
            )
        elif number % 5 == 3:
            cut = encoded((EXAMPLES / "bench.png").read_bytes()[: chance.randrange(2000)])
            found.append({"do": "send", "kind": "CompressedImage", "format": "png", "data": cut})
        else:
            width, height, step = (chance.choice([0, 1, 7, 2**31, 2**32 - 1]) for _ in range(3))
            about = {"encoding": chance.choice(encodings), "is_bigendian": chance.randrange(256)}
            found.append({"do": "send", "width": width, "height": height, "step": step, "data": data, **about})
    return found


def test_the_node_survives_500_broken_messages_and_answers_the_next_frame(graph: Graph) -> None:
    for message in broken_messages():
        graph.peer.do(message.pop("do"), **message)
    after = counts(graph)
    assert after["failed"] > 0
    graph.peer.do("say", text="What is the code on the white star?")
    graph.peer.do("send", kind="CompressedImage", format="png", data=BENCH, stamp=7)
    answer = graph.peer.do("answer_json")
    while answer["header"]["stamp"]["nanosec"] != 7:
        answer = graph.peer.do("answer_json")
    assert answer["answer"] == "JX7"
    assert graph.node.poll() is None
