"""A running node, over DDS: frames of every encoding, questions by topic, service and action, parameters."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from support.places import EXAMPLES
from support.robot.raw_frames import encode, mosaic
from support.robot.ros_graph import encoded, needs_ros, running

from uhd_edge.runtime.assistant import Assistant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.robot.ros_graph import Graph

pytestmark = needs_ros
STAR = "What is the code on the white star?"
TRIANGLES = "How many triangles are there?"
BENCH = (EXAMPLES / "bench.png").read_bytes()
LONG = json.dumps({"schema": {"type": "array", "minItems": 400, "items": {"enum": ["star"]}}, "max_tokens": 3000})


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    parameters = {"image_transport": "both", "max_tokens": 16, "question": STAR}
    with running(tmp_path_factory.mktemp("graph"), parameters) as graph:
        yield graph


@pytest.fixture(scope="module")
def fresh() -> Iterator[Assistant]:
    with Assistant() as assistant:
        yield assistant


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.asarray(Image.open(EXAMPLES / "bench.png").convert("RGB").resize((320, 240)))


def send_raw(graph: Graph, encoding: str, picture: np.ndarray, *, gap: int = 0, big: bool = False) -> None:
    raw = encode(picture, encoding, gap=gap, big=big)
    about = {"width": raw.width, "height": raw.height, "step": raw.step, "is_bigendian": int(raw.is_bigendian)}
    graph.peer.do("send", encoding=encoding, data=encoded(bytes(raw.data)), **about)


def send_sent(graph: Graph, encoding: str, rows: np.ndarray, size: tuple[int, int]) -> None:
    about = {"width": size[0], "height": size[1], "step": rows.shape[1] * rows.itemsize}
    graph.peer.do("send", encoding=encoding, data=encoded(rows.tobytes()), **about)


def test_every_encoding_arrives_as_the_pixels_that_numpy_says_and_is_answered(
    graph: Graph, picture: np.ndarray, fresh: Assistant
) -> None:
    graph.peer.do("look")
    grey = picture[:, :, 1].copy()
    wide = grey.astype("<u2") * 257
    neutral = np.full((240, 320), 128, np.uint8)
    luma = np.clip(16 + np.rint(grey * (219 / 255)), 16, 235).astype(np.uint8)
    back = np.repeat(np.clip(np.rint((luma.astype(float) - 16) * 255 / 219), 0, 255)[:, :, None], 3, 2).astype(np.uint8)
    uyvy, yuyv = np.stack([neutral, luma], 2).reshape(240, -1), np.stack([luma, neutral], 2).reshape(240, -1)
    nv = np.concatenate([luma, neutral[:120]])
    sent: list[tuple[str, np.ndarray | None, np.ndarray]] = [
        *((name, None, picture) for name in ("rgb8", "bgr8", "rgba8", "bgra8", "rgb16", "bgr16")),
        ("mono8", grey, grey),
        ("mono16", wide, wide),
        *((name, uyvy, back) for name in ("yuv422", "uyvy")),
        *((name, yuyv, back) for name in ("yuv422_yuy2", "yuyv")),
        *((name, nv, back) for name in ("nv12", "nv21")),
    ]
    for name in ("rggb", "bggr", "gbrg", "grbg"):
        values, quarters = mosaic(name, picture)
        sent.append((f"bayer_{name}8", values, ((quarters + 2) // 4).astype(np.uint8)))
        in_16_bits = (257 * quarters + 2) // 4
        sent.append((f"bayer_{name}16", values.astype("<u2") * 257, np.rint(in_16_bits / 257).astype(np.uint8)))
    for number, (encoding, rows, expected) in enumerate(sent):
        if rows is None:
            send_raw(graph, encoding, picture, gap=number, big=number % 2 == 1)
        else:
            send_sent(graph, encoding, rows, (320, 240))
        heard = graph.peer.do("picture")
        assert heard["sha256"] == hashlib.sha256(np.ascontiguousarray(expected).tobytes()).hexdigest(), encoding
        assert (heard["shape"], heard["dtype"]) == (list(expected.shape), str(expected.dtype))
        answer = graph.peer.do("answer_json")
        assert answer["answer"] == fresh.ask(expected, STAR, max_tokens=16).text, encoding


def test_a_compressed_frame_is_answered_in_both_forms_with_the_stamp_of_its_header(graph: Graph) -> None:
    graph.peer.do("send", kind="CompressedImage", format="png", data=encoded(BENCH), stamp=1_500_000_123)
    answer = graph.peer.do("answer_json")
    assert (answer["answer"], answer["question"], answer["finish_reason"]) == ("JX7", STAR, "stop")
    assert answer["header"] == {"stamp": {"sec": 1, "nanosec": 500_000_123}, "frame_id": "camera"}
    while (message := graph.peer.do("answer"))["header"]["stamp"]["sec"] != 1:
        pass  # those of the tests before
    assert (message["text"], message["frame"]) == ("JX7", answer["frame"])
    assert message["stages"] == list(answer["timings_ms"])


def test_a_region_of_a_turned_camera_is_looked_at(graph: Graph, fresh: Assistant) -> None:
    changed = graph.peer.do("set", rotate=180, region=[10, 20, 200, 150])
    assert all(result["successful"] for result in changed["results"])
    graph.peer.do("send", kind="CompressedImage", format="png", data=encoded(BENCH))
    answer = graph.peer.do("answer_json")
    part = np.rot90(np.asarray(Image.open(EXAMPLES / "bench.png").convert("RGB"))[20:170, 10:210], 2)
    expected = fresh.ask(np.ascontiguousarray(part), STAR, max_tokens=16)
    assert (answer["answer"], answer["usage"]["prompt_tokens"]) == (expected.text, expected.usage.prompt_tokens)
    graph.peer.do("set", rotate=0, region=[0, 0, 0, 0])


def test_a_cancelled_answer_ends_and_the_next_one_is_that_of_a_fresh_process(graph: Graph, fresh: Assistant) -> None:
    graph.peer.do("send", kind="CompressedImage", format="png", data=encoded(BENCH))
    graph.peer.do("answer_json")
    assert graph.peer.do("ask", question="List the stars.", options=LONG)["accepted"]
    assert graph.peer.do("cancel_after", pieces=5)["cancelling"] == 1
    ended = graph.peer.do("ask_result")
    assert (ended["status"], ended["success"], ended["message"]) == (5, False, "cancelled")
    assert ended["answer"]["text"].startswith("[")
    assert ended["answer"]["text"].count("star") < 400
    assert graph.peer.do("ask", question=TRIANGLES)["accepted"]
    after = graph.peer.do("ask_result")
    expected = fresh.ask(BENCH, TRIANGLES, max_tokens=16)
    assert (after["status"], after["success"], after["answer"]["text"]) == (4, True, expected.text)
    assert after["texts"][-1] == expected.text
    assert after["answer"]["prompt_tokens"] == expected.usage.prompt_tokens


def test_an_action_answers_about_its_own_images_by_its_own_schema(graph: Graph, fresh: Assistant) -> None:
    schema = {
        "type": "object",
        "properties": {"count": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["count"],
    }
    options = json.dumps({"schema": schema, "max_tokens": 64})
    image = {"format": "png", "data": encoded((EXAMPLES / "wide.png").read_bytes())}
    graph.peer.do("ask", question=TRIANGLES, options=options, compressed_images=[image])
    done = graph.peer.do("ask_result")
    expected = fresh.ask((EXAMPLES / "wide.png").read_bytes(), TRIANGLES, schema=schema, max_tokens=64)
    assert json.loads(done["answer"]["parsed"]) == expected.parsed
    assert done["answer"]["header"]["frame_id"] == ""


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"question": "What?", "options": "{"}, "the options are not JSON"),
        ({"question": "What?", "options": "[1]"}, "the options are not a JSON object"),
        ({"question": "What?", "options": '{"speed": 1}'}, "unexpected keyword argument 'speed'"),
        ({"question": "What?", "options": '{"max_tokens": 0}'}, "max_tokens is 0"),
        ({"question": "What?", "compressed_images": [{"data": encoded(b"no")}]}, "not an image"),
        (
            {"question": "What?", "images": [{"encoding": "rgb8", "width": 9, "height": 9}]},
            "has 0 bytes instead of 243",
        ),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(graph: Graph, request_: dict[str, Any], said: str) -> None:
    reply = graph.peer.do("ask_short", **request_)
    assert (reply["success"], said in reply["message"]) == (False, True), reply["message"]
    graph.peer.do("ask", **request_)
    ended = graph.peer.do("ask_result")
    assert (ended["status"], ended["message"]) == (6, reply["message"])


def test_services_answer_about_the_newest_frame(graph: Graph) -> None:
    graph.peer.do("send", kind="CompressedImage", format="png", data=encoded(BENCH))
    graph.peer.do("answer_json")
    assert graph.peer.do("ask_short", question=TRIANGLES)["answer"]["text"] == "1"
    now = graph.peer.do("ask_now")
    assert (now["success"], json.loads(now["message"])["answer"]) == (True, "JX7")


def test_a_question_by_topic_is_asked_about_the_next_frames_until_it_is_empty(graph: Graph) -> None:
    graph.peer.do("say", text=TRIANGLES)
    graph.peer.do("send", kind="CompressedImage", format="png", data=encoded(BENCH))
    assert graph.peer.do("answer_json")["question"] == TRIANGLES
    graph.peer.do("say", text=" ")
    graph.peer.do("send", kind="CompressedImage", format="png", data=encoded(BENCH))
    reply = graph.peer.do("ask_short", question="")
    assert (reply["success"], "there is no question" in reply["message"]) == (False, True)
    assert graph.peer.do("diagnostics")["values"]["frames_waiting"] == "1"
    graph.peer.do("set", question=STAR)
    assert graph.peer.do("answer_json")["question"] == STAR


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("bundle", "other", "bundle cannot change while the model is open"),
        ("threads", 3, "threads cannot change while the model is open"),
        ("engine", "onnxruntime", "engine cannot change while the model is open"),
        ("mode", "8x", "mode is '8x'; give one of '', '16x', '4x'"),
        ("rotate", 45, "rotate is 45; give one of 0, 90"),
        ("schema", "{", "the schema is no JSON"),
        ("region", [1, 2], "give x, y, width and height"),
        ("budget_share", 1.5, ""),  # refused by ROS, because of the range
        ("max_tokens", 0, ""),
    ],
)
def test_a_parameter_that_cannot_be_refuses_with_a_reason(graph: Graph, name: str, value: Any, reason: str) -> None:
    (result,) = graph.peer.do("set", **{name: value})["results"]
    assert (result["successful"], reason in result["reason"]) == (False, True), result
    assert result["reason"]


def test_parameters_change_while_the_node_runs_and_are_described(graph: Graph) -> None:
    assert graph.peer.do("set", max_tokens=1)["results"][0]["successful"]
    graph.peer.do("send", kind="CompressedImage", format="png", data=encoded(BENCH))
    answer = graph.peer.do("answer_json")
    assert (answer["finish_reason"], answer["usage"]["completion_tokens"]) == ("length", 1)
    graph.peer.do("set", max_tokens=16)
    (described,) = graph.peer.do("describe", names=["budget_share"])["descriptors"]
    assert described["floating_point_range"] == [{"from_value": 0.5, "to_value": 0.99, "step": 0.0}]
    assert described["description"]


def test_unchanged_frames_are_not_asked_about(graph: Graph, picture: np.ndarray) -> None:
    graph.peer.do("set", on_change=20.0)
    negative = 255 - picture
    send_raw(graph, "rgb8", negative)
    graph.peer.do("answer_json")
    before = int(graph.peer.do("diagnostics")["values"]["frames_unchanged"])
    send_raw(graph, "rgb8", negative // 16 * 16)
    graph.peer.told("frames_unchanged", before + 1)
    changed = negative.copy()
    changed[:60, :60] = 0
    send_raw(graph, "rgb8", changed)
    graph.peer.do("answer_json")
    assert graph.peer.do("diagnostics")["values"]["frames_unchanged"] == str(before + 1)
    graph.peer.do("set", on_change=0.0)
