"""What clients send in other words than OpenAI's is understood; what says nothing to the model is left out."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from PIL import Image
from support.running_server import EXAMPLES, asked, data_uri
from support.server.mutating import mutated

from uhd_edge.runtime.errors import UhdError
from uhd_edge.runtime.images.video_decoding import Allowance
from uhd_edge.server.dialect import Asked
from uhd_edge.server.errors import ApiError, api_error
from uhd_edge.server.media.data import as_data_uri, decode_media
from uhd_edge.server.media.loading import decode_all
from uhd_edge.server.media.parts import MediaPart
from uhd_edge.server.model_facts import ModelFacts
from uhd_edge.server.openai.chat import ChatCompletions

BENCH = (EXAMPLES / "bench.png").read_bytes()
URI = data_uri(BENCH)
BARE = URI.partition(",")[2]
URL_SAFE = base64.urlsafe_b64encode(BENCH).decode().rstrip("=")
PLAIN = ModelFacts("uhd-tiny", ("16x", "4x"), "16x", 9, 4096, thinks=False, calls=False)
THINKER = ModelFacts("uhd-tiny", ("16x", "4x"), "16x", 9, 4096, thinks=True, calls=True)


def read(body: dict[str, Any], model: ModelFacts = PLAIN) -> Asked:
    return ChatCompletions(model).read(json.dumps(body).encode())[0]


def said(*messages: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    return {"model": "uhd-tiny", "messages": list(messages), **parameters}


def part(part: Any) -> dict[str, Any]:
    return said({"role": "user", "content": [part, "What?"]})


USER = {"role": "user", "content": "What?"}
SENT_BACK = {"role": "assistant", "content": "A dog.", "refusal": None, "annotations": [], "tool_calls": []}
SENT_BACK |= {"audio": None, "function_call": None, "provider_specific_fields": {}, "id": "msg_1", "status": "done"}


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({"repeat_penalty": 1.2}, {"repetition_penalty": 1.2}),
        ({"top_k": -1}, {"top_k": 0}),
        ({"seed": 2**63 - 1}, {"seed": (2**63 - 1) % (2**32 - 1)}),
        ({"seed": 7}, {"seed": 7}),
        ({"seed": -1}, {"seed": 2**32 - 2}),
        ({"presence_penalty": 0.5, "frequency_penalty": -1}, {"presence_penalty": 0.5, "frequency_penalty": -1.0}),
        ({"logit_bias": {"17": -100}}, {"logit_bias": {17: -100.0}}),
        ({"logprobs": True}, {"logprobs": 0}),
        ({"logprobs": True, "top_logprobs": 5}, {"logprobs": 5}),
        ({"logprobs": False, "top_logprobs": 0}, {}),
        ({"n": 3}, {"answers": 3}),
        ({"max_tokens": -1, "stop": [], "tools": []}, {}),
        ({"max_tokens": 5.0}, {"max_tokens": 5}),
        ({"mm_processor_kwargs": {"max_slice_nums": 4}}, {"max_slices": 4}),
        ({"ignore_eos": False, "min_tokens": 0, "modalities": ["text"], "user": "me", "store": True}, {}),
    ],
)
def test_a_parameter_has_its_equivalent_here(parameters: dict[str, Any], options: dict[str, Any]) -> None:
    question = read(said(USER, **parameters))
    assert (dict(question.options), question.ignored) == (options, ())


@pytest.mark.parametrize("parameters", [{"guided_json": {"type": "object"}}, {"guided_json": '{"type": "object"}'}])
def test_json_may_be_asked_for_in_vllms_words(parameters: dict[str, Any]) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    expected = read(said(USER, response_format=wanted)).options
    for given in (parameters, {"structured_outputs": {"json": {"type": "object"}}}):
        assert read(said(USER, **given)).options["schema"].grammar == expected["schema"].grammar
    in_format = {"response_format": {"type": "json_object", "schema": {"type": "object"}}}
    assert read(said(USER, **in_format)).options["schema"].grammar == expected["schema"].grammar


def test_what_is_not_known_is_left_out_and_named() -> None:
    body = said({**USER, "surprise": 1}, verbosity="low", prediction={"type": "content"}, stream_options={"more": True})
    body["chat_template_kwargs"] = {"add_vision_id": True}
    body["thinking"] = {"type": "adaptive", "display": "summarized"}
    question = read(body)
    assert sorted(question.ignored) == [
        "chat_template_kwargs.add_vision_id",
        "messages[].surprise",
        "prediction",
        "stream_options.more",
        "thinking.display",
        "verbosity",
    ]
    assert question.options == {}


OF_PARTS = "messages[].content[]."


@pytest.mark.parametrize(
    ("said_so", "named"),
    [
        (
            part({"type": "text", "text": "x", "weight": 2, "cache_control": {}, "annotations": []}),
            [f"{OF_PARTS}weight"],
        ),
        (
            part({"type": "image_url", "image_url": {"url": URI, "format": "image/png", "tiles": 4}}),
            [f"{OF_PARTS}image_url.tiles"],
        ),
        (part({"type": "input_image", "image_url": URI, "detail": "high", "prompt_cache_breakpoint": {}}), []),
        (part({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BARE}}), []),
        (
            part({"type": "video_url", "video_url": {"url": URI, "detail": "low"}, "start": 2, "fps": 2}),
            [f"{OF_PARTS}start", f"{OF_PARTS}video_url.detail"],
        ),
        (
            part({"type": "video", "video": [URI], "max_pixels": 5, "max_frames": 4, "nframes": -1, "fps": 2}),
            [f"{OF_PARTS}fps", f"{OF_PARTS}max_pixels", f"{OF_PARTS}nframes"],
        ),
        (said({**USER, "name": "Ada"}), ["messages[].name"]),
        (said(USER, mm_processor_kwargs={"fps": 2, "max_slice_nums": None, "size": 4}), ["mm_processor_kwargs.size"]),
        (part({"type": "video", "video": [URI]}) | {"mm_processor_kwargs": {"fps": 2}}, ["mm_processor_kwargs.fps"]),
    ],
)
def test_what_does_not_count_within_messages_is_named_too(said_so: dict[str, Any], named: list[str]) -> None:
    assert sorted(read(said_so).ignored) == named


@pytest.mark.parametrize("asking", [{"structured_outputs": "a+"}, {"structured_outputs": {"choice": ["a"]}}])
def test_other_structures_than_json_are_refused(asking: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match="structured_outputs may have json only"):
        read(said(USER, **asking))


@pytest.mark.parametrize(
    "turn",
    [
        SENT_BACK,
        {"role": "assistant", "content": [{"type": "text", "text": "A dog.", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": {"type": "output_text", "text": "A dog.", "annotations": []}},
        {"role": "assistant", "content": ["A dog."]},
        {"role": "assistant", "refusal": "A dog."},
    ],
)
def test_turns_may_be_sent_back_as_they_came(turn: dict[str, Any]) -> None:
    assert read(said(USER, turn, USER)) == read(said(USER, {"role": "assistant", "content": "A dog."}, USER))


@pytest.mark.parametrize("turn", [{"content": None}, {}, {"content": ""}, {"content": [], "tool_calls": []}])
def test_a_turn_may_be_empty(turn: dict[str, Any]) -> None:
    question = read(said(USER, {"role": "assistant", **turn}, USER))
    assert "".join(part.text for part in question.messages[1].parts) == ""  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_thoughts_may_be_sent_back(name: str) -> None:
    turn = {"role": "assistant", "content": "A dog.", name: "Hm."}
    assert read(said(USER, turn, USER)).messages[1].thinking == "Hm."


@pytest.mark.parametrize(
    "image",
    [
        {"type": "image_url", "image_url": {"url": URI}},
        {"type": "image_url", "image_url": URI},
        {"image_url": {"url": URI}},
        {"type": "input_image", "image_url": URI, "detail": "auto"},
        {"type": "image", "image": BARE},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BARE}},
        {"type": "image_url", "image_url": {"url": f"  {URI}", "detail": "original"}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{URL_SAFE}"}},
    ],
)
def test_an_image_may_be_written_in_several_ways(image: dict[str, Any]) -> None:
    (media,) = read(part(image)).media
    assert decode_media(as_data_uri(media.urls[0]), media) == BENCH


def test_sizes_of_images_arrive() -> None:
    low = {"type": "image_url", "image_url": {"url": URI, "detail": "low"}, "min_pixels": 100}
    (media,) = read({**part(low), "max_pixels": 5000}).media
    assert (media.detail, media.min_pixels, media.max_pixels) == ("low", 100, 5000)
    (limited,) = decode_all([media], [[BENCH]], max_pixels=10**6, allowance=Allowance())
    assert limited.max_slices == 1  # type: ignore[union-attr]
    size = limited.source.size  # type: ignore[union-attr]
    assert 4500 < size[0] * size[1] <= 5000
    larger = MediaPart("image", (URI,), min_pixels=10**9)
    (picture,) = decode_all([larger], [[BENCH]], max_pixels=10**6, allowance=Allowance())
    assert isinstance(picture, Image.Image)
    assert 0.95e6 < picture.width * picture.height <= 1e6


OF_ALL = "mm_processor_kwargs.min_pixels"


@pytest.mark.parametrize(
    ("own", "of_all", "name"),
    [
        ({}, {"mm_processor_kwargs": {"min_pixels": 5000}, "max_pixels": 4000}, OF_ALL),
        ({"max_pixels": 4000}, {"mm_processor_kwargs": {"min_pixels": 5000}}, OF_ALL),
        ({"min_pixels": 5000, "max_pixels": 4000}, {"min_pixels": 1}, "messages.0.content.0.image_url.min_pixels"),
        (None, {"min_pixels": 5000, "max_pixels": 4000}, "min_pixels"),
    ],
)
def test_a_smallest_size_above_the_largest_is_refused(own: Any, of_all: dict[str, Any], name: str) -> None:
    body = said(USER) if own is None else part({"type": "image_url", "image_url": {"url": URI, **own}})
    with pytest.raises(ApiError, match=f"^{name} is 5000, more than max_pixels, which is 4000") as refused:
        read(body | of_all)
    assert refused.value.param == name


@pytest.mark.parametrize(
    "video",
    [
        {"type": "video_url", "video_url": {"url": URI}},
        {"type": "input_video", "video_url": URI},
        {"type": "input_video", "input_video": {"data": BARE, "format": "mp4"}},
        {"type": "video", "video": [URI, {"url": URI}]},
        {"type": "video", "video": {"frames": [URI, URI]}},
    ],
)
def test_a_video_is_a_file_or_its_frames(video: dict[str, Any]) -> None:
    (media,) = read(part(video)).media
    assert media.kind == ("video" if len(media.urls) == 1 else "frames")
    assert all(decode_media(as_data_uri(url), media) == BENCH for url in media.urls)


def test_a_thousand_mutated_bodies_are_read_or_refused_in_one_line() -> None:
    dice = random.Random(0)
    tool = {"type": "function", "function": {"name": "go", "parameters": {"type": "object", "properties": {}}}}
    body = asked(URI, "?What?", n=2, logit_bias={"5": 1.0}, stop=["x"], tools=[tool], tool_choice="auto", seed=3)
    body["messages"] += [SENT_BACK, USER, {"role": "assistant", "content": "A"}]
    body |= {"stream_options": {"include_usage": True}, "response_format": {"type": "text"}, "top_logprobs": 2}
    read_ones = 0
    for _ in range(1000):
        try:
            read(mutated(body, dice), THINKER)
            read_ones += 1
        except UhdError as error:
            known = api_error(error)
            assert isinstance(known, ApiError)
            assert known.status in (400, 404)
            assert "\n" not in str(known)
    assert 100 < read_ones < 900
