"""A running node, over DDS: more frames than it can answer, and messages that are none."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.places import EXAMPLES, ROOT
from support.robot.ros_graph import encoded, joined, needs_ros, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.robot.ros_graph import Graph

pytestmark = needs_ros
BENCH = encoded((EXAMPLES / "bench.png").read_bytes())
FRAMES = 200
TRIANGLES = "How many triangles are there?"
LONG = json.dumps({"schema": {"type": "array", "minItems": 400, "items": {"enum": ["star"]}}, "max_tokens": 3000})
LOSING = "most frames are lost on their way to the node"
PARTS = ("answered", "dropped", "waiting", "failed", "unchanged", "cut_off")
PROFILE = str(ROOT / "ros" / "uhd_edge_ros" / "config" / "fastdds.xml")
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4  # of lifecycle_msgs/Transition


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    parameters = {"image_transport": "both", "max_tokens": 32, "question": "How many objects are there?", "queue": 1}
    with running(tmp_path_factory.mktemp("graph"), parameters) as graph:
        yield graph


def noise(width: int, height: int) -> dict[str, Any]:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return {
        "encoding": "rgb8", "width": width, "height": height, "step": 3 * width, "data": encoded(pixels.tobytes()),
    }  # fmt: skip


def counts(graph: Graph) -> dict[str, int]:
    """The node's counts once no frame is in work."""
    while True:
        values = graph.peer.do("diagnostics")["values"]
        found = {part: int(values[f"frames_{part}"]) for part in ("seen", *PARTS)}
        if found["seen"] == sum(found[part] for part in PARTS):
            return found | {"memory": int(values["memory_mb"])}


def answers_until(graph: Graph, stamp: int) -> list[dict[str, Any]]:
    """The answers that came, up to that of the frame with a stamp."""
    found = [graph.peer.do("answer_json")]
    while found[-1]["header"]["stamp"]["nanosec"] != stamp:
        found.append(graph.peer.do("answer_json"))
    return found


def test_frames_too_large_for_the_middleware_are_told_and_come_with_the_profile(graph: Graph) -> None:
    large = noise(640, 480)
    for _ in range(20):
        graph.peer.do("send_film", frames=10, rate=30, **large)
        status = graph.peer.do("diagnostics")
        if status["level"]:
            break
    assert (status["level"], status["message"].partition(";")[0]) == (1, LOSING)
    assert int(status["values"]["frames_lost"]) > 0
    assert graph.log.count(LOSING) == 1
    profile = {"FASTRTPS_DEFAULT_PROFILES_FILE": PROFILE, "FASTDDS_DEFAULT_PROFILES_FILE": PROFILE}
    with joined(graph.environment | profile) as camera:
        camera.do("wait_for_node")
        for stamp in range(1000, 1003):
            camera.do("send", stamp=stamp, **large)
            answers_until(graph, stamp)


def test_of_200_frames_at_30_a_second_the_newest_win_and_the_memory_stays_level(graph: Graph) -> None:
    for transition in (DEACTIVATE, CLEANUP):
        assert graph.peer.do("change_state", transition=transition)["success"]
    changed = graph.peer.do("set", reliable=True, queue=4)  # reliable, or the last frame may be lost
    assert all(result["successful"] for result in changed["results"])
    for transition in (CONFIGURE, ACTIVATE):
        assert graph.peer.do("change_state", transition=transition)["success"]
    graph.peer.do("wait_for_node")
    film = noise(320, 240)
    graph.peer.do("send_film", frames=20, rate=30, **film)
    answers_until(graph, 19)
    before = counts(graph)
    with joined(graph.environment) as other:
        other.do("wait_for_node")
        assert other.do("ask", question="List the stars.", options=LONG)["accepted"]
        other.do("wait_for_text", pieces=1)  # so that frames wait and are dropped, however fast the processor is
        graph.peer.do("send_film", frames=FRAMES, rate=30, **film)
        other.do("cancel_after", pieces=0)
        other.do("ask_result")
    answers = answers_until(graph, FRAMES - 1)
    after = counts(graph)
    stamps = [answer["header"]["stamp"]["nanosec"] for answer in answers]
    assert stamps == sorted(set(stamps))
    assert [answer["frame"] - answer["dropped"] for answer in answers] == list(
        range(before["answered"], after["answered"])
    )
    assert (answers[-1]["frame"], answers[-1]["dropped"]) == (after["seen"] - 1, after["dropped"])
    assert len(answers) < after["seen"] - before["seen"] <= FRAMES
    assert (after["failed"], after["waiting"]) == (0, 0)
    assert after["memory"] - before["memory"] < 25


def test_a_waiting_question_is_cancelled_at_once_and_one_too_many_is_refused_and_told(graph: Graph) -> None:
    graph.peer.do("send", kind="CompressedImage", format="png", data=BENCH, stamp=5)
    answers_until(graph, 5)
    with joined(graph.environment) as other:
        other.do("wait_for_node")
        assert other.do("ask", question="List the stars.", options=LONG)["accepted"]
        other.do("wait_for_text", pieces=1)
        assert graph.peer.do("ask", question=TRIANGLES)["accepted"]
        assert graph.peer.do("cancel_after", pieces=0)["cancelling"] == 1
        ended = graph.peer.do("ask_result")
        assert (ended["status"], ended["message"], ended["answer"]["text"]) == (5, "cancelled", "")
        assert [graph.peer.do("ask", question=TRIANGLES)["accepted"] for _ in range(5)] == [True] * 4 + [False]
        status = graph.peer.told("questions_refused", 1)
        assert (status["level"], status["message"].startswith("a question was refused")) == (1, True)
        assert "a goal was rejected: 4 questions are waiting; ask again later" in graph.log
        assert other.do("cancel_after", pieces=0)["cancelling"] == 1  # so it was in work for all of that
    assert graph.peer.do("ask_short", question=TRIANGLES)["answer"]["text"] == "1"


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
    """Every other picture is part of a question, so that each is looked at; of frames most are dropped."""
    for number, message in enumerate(broken_messages()):
        do = message.pop("do")
        if do == "send_bytes" or number % 2:
            graph.peer.do(do, **message)
            continue
        images = "compressed_images" if message.pop("kind", "Image") == "CompressedImage" else "images"
        reply = graph.peer.do("ask_short", **{images: [message]})
        assert reply["success"] or reply["message"]
    after = counts(graph)
    assert after["failed"] > 0
    graph.peer.do("say", text="What is the code on the white star?")
    graph.peer.do("send", kind="CompressedImage", format="png", data=BENCH, stamp=7)
    assert answers_until(graph, 7)[-1]["answer"] == "JX7"
    assert graph.node.poll() is None
