"""Parameters of other servers and of newer clients, through `uhd serve` as the official client sends them."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import openai
import pytest
from PIL import Image
from support.images.videos import make_video
from support.running_server import CHAT, CODE, EXAMPLES, Running, about_the_bench, asked, data_uri, running

from uhd_edge.runtime import Assistant, Message, TextPart, Video
from uhd_edge.runtime.images.loading import load_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WILD: dict[str, Any] = {"temperature": 1.5, "max_tokens": 10, "seed": 4}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running("--allow-origin", "http://app.example/") as server:
        yield server


def test_several_answers_are_those_of_the_assistant(client: openai.OpenAI, assistant: Assistant) -> None:
    expected = assistant.ask("Describe the scene.", answers=3, logprobs=2, **WILD)
    texts = [one.text for one in (expected, *expected.alternatives)]
    body: Any = asked("?Describe the scene.", n=3, logprobs=True, top_logprobs=2, **WILD)
    whole = client.chat.completions.create(**body)
    assert [choice.message.content for choice in whole.choices] == texts
    tokens = whole.choices[1].logprobs.content
    assert [token.logprob for token in tokens] == [token.logprob for token in expected.alternatives[0].logprobs]
    assert all(len(token.top_logprobs) == 2 for token in tokens)
    streamed, logprobs = ["", "", ""], [0, 0, 0]
    for chunk in client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
            logprobs[choice.index] += len(choice.logprobs.content) if choice.logprobs else 0
    assert streamed == texts
    assert logprobs == [len(one.logprobs) for one in (expected, *expected.alternatives)]
    assert chunk.usage.completion_tokens == whole.usage.completion_tokens


def test_a_temperature_of_nearly_zero_is_zero(client: openai.OpenAI, assistant: Assistant) -> None:
    expected = assistant.ask("Describe the scene.", max_tokens=20).text
    body: Any = asked("?Describe the scene.", temperature=1e-8, max_tokens=20, seed=3)
    assert client.chat.completions.create(**body).choices[0].message.content == expected


def test_penalties_and_biases_are_the_assistants(client: openai.OpenAI, assistant: Assistant) -> None:
    given: dict[str, Any] = {"presence_penalty": 1.5, "frequency_penalty": 1.0, "max_tokens": 30}
    expected = assistant.ask("Describe the scene.", logit_bias={5: -100}, **given)
    body: Any = asked("?Describe the scene.", logit_bias={"5": -100}, **given)
    assert client.chat.completions.create(**body).choices[0].message.content == expected.text
    first = assistant.ask(CODE, logprobs=0, max_tokens=1).logprobs[0]
    banned: Any = asked(f"?{CODE}", logit_bias={str(first.token): -100}, logprobs=True, max_tokens=1)
    (token,) = client.chat.completions.create(**banned).choices[0].logprobs.content
    assert token.token != first.text
    assert token.logprob <= math.log(0.5) or first.logprob < math.log(0.5)


def test_a_turn_that_has_begun_goes_on(client: openai.OpenAI) -> None:
    body: Any = about_the_bench()
    body["messages"].append({"role": "assistant", "content": "J"})
    assert client.chat.completions.create(**body).choices[0].message.content == "X7"
    pieces = [chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**body, stream=True)]
    assert "".join(pieces) == "X7"


def test_the_last_turn_may_be_one_that_the_template_takes(client: openai.OpenAI, assistant: Assistant) -> None:
    body: Any = asked("?Describe the scene.", max_tokens=8)
    body["messages"].append({"role": "developer", "content": "Be brief."})
    said = [Message("user", (TextPart("Describe the scene."),)), Message("system", (TextPart("Be brief."),))]
    expected = assistant.ask(said, max_tokens=8)
    answer = client.chat.completions.create(**body)
    assert answer.choices[0].message.content == expected.text
    assert answer.usage.prompt_tokens == expected.usage.prompt_tokens
    del body["messages"][0]
    assert (
        client.chat.completions.create(**body).choices[0].message.content == assistant.ask(said[1:], max_tokens=8).text
    )


def test_an_image_may_come_without_a_text_and_at_low_detail(server: Running, assistant: Assistant) -> None:
    photo = EXAMPLES / "sliced.jpg"
    uri = data_uri(photo.read_bytes(), "image/jpeg")
    reply = server.request("POST", CHAT, asked(uri, max_tokens=2))
    assert (reply.status, "x-uhd-ignored" in reply.headers) == (200, False)
    low = {"type": "image_url", "image_url": {"url": uri, "detail": "low"}}
    body = {"model": "uhd-tiny", "messages": [{"role": "user", "content": [low, "What?"]}], "max_tokens": 2}
    expected = assistant.ask(photo, "What?", max_slices=1, max_tokens=2).usage.vision_tokens
    assert server.request("POST", CHAT, body).json["usage"]["vision_tokens"] == expected
    assert reply.json["usage"]["vision_tokens"] > expected


def test_a_video_is_asked_about_as_by_the_assistant(server: Running, assistant: Assistant, tmp_path: Path) -> None:
    file = make_video(tmp_path / "clip.mp4", 35, size=(640, 480))
    expected = assistant.ask([file, EXAMPLES / "bench.png"], "What is labelled FEC?", max_tokens=5)
    content: list[Any] = [
        {"type": "video_url", "video_url": {"url": data_uri(file.read_bytes(), "video/mp4")}},
        {"type": "image_url", "image_url": {"url": data_uri((EXAMPLES / "bench.png").read_bytes())}},
        {"type": "text", "text": "What is labelled FEC?"},
    ]
    body = {"model": "uhd-tiny", "messages": [{"role": "user", "content": content}], "max_tokens": 5}
    reply = server.request("POST", CHAT, body).json
    assert reply["choices"][0]["message"]["content"] == expected.text
    assert reply["usage"]["prompt_tokens"] == expected.usage.prompt_tokens
    names = ("bench.png", "wide.png")
    frames = [data_uri((EXAMPLES / name).read_bytes()) for name in names]
    body["messages"] = [{"role": "user", "content": [{"type": "video", "video": frames}, "What?"]}]
    pictures = [np.asarray(load_image(EXAMPLES / name)) for name in names]
    shown = assistant.ask(Video(pictures), "What?", max_tokens=5)
    assert server.request("POST", CHAT, body).json["usage"]["prompt_tokens"] == shown.usage.prompt_tokens


def test_what_was_ignored_is_named_in_a_header(server: Running) -> None:
    body = about_the_bench(verbosity="low", reasoning_effort="high", **{"bad\r\nname": 1, "é": 1})
    for stream in (False, True):
        reply = server.request("POST", CHAT, {**body, "stream": stream})
        assert (reply.status, reply.headers["x-uhd-ignored"]) == (
            200,
            "verbosity, bad%0D%0Aname, %C3%A9, reasoning_effort",
        )


def test_addresses_may_end_in_a_slash_and_the_model_may_be_left_out(server: Running) -> None:
    body = about_the_bench()
    del body["model"]
    assert server.request("POST", f"{CHAT}/", body).json["choices"][0]["message"]["content"] == "JX7"
    assert server.request("GET", "/v1/models/").json["data"][0]["capabilities"]["vision"] is True


def test_pages_of_an_allowed_origin_may_ask(server: Running) -> None:
    asking = {"Origin": "http://app.example", "Access-Control-Request-Method": "POST"}
    preflight = server.request("OPTIONS", CHAT, headers={**asking, "Access-Control-Request-Headers": "x-stainless-os"})
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (200, "http://app.example")
    reply = server.request("POST", CHAT, about_the_bench(), headers={"Origin": "http://app.example"})
    assert reply.headers["access-control-allow-origin"] == "http://app.example"
    other = server.request("OPTIONS", CHAT, headers={**asking, "Origin": "http://other.example"})
    assert (other.status, "access-control-allow-origin" in other.headers) == (400, False)


def test_details_say_how_each_image_was_cut_and_which_views_were_reused(server: Running) -> None:
    known, new = (EXAMPLES / "wide.png").read_bytes(), io.BytesIO()
    Image.new("RGB", (97, 89), (180, 30, 90)).save(new, "PNG")
    first = server.request("POST", CHAT, asked(known, "?What?", details=True, max_tokens=1)).json["details"]
    cut = first["images"][0]
    assert cut["rows"] * cut["columns"] + 1 == len(first["views"]) > 1
    both = server.request("POST", CHAT, asked(known, new.getvalue(), "?What?", details=True, max_tokens=1)).json[
        "details"
    ]
    assert both["images"] == [cut, {"rows": 0, "columns": 0, "mode": "16x", "video": None}]
    assert [view["reused"] for view in both["views"]] == [True] * len(first["views"]) + [False]


@pytest.mark.parametrize("stream", [False, True])
def test_an_ignored_name_may_be_empty(server: Running, stream: bool) -> None:
    """HTTP has no header that ends in a comma and a space, so that none was sent at all."""
    reply = server.request("POST", CHAT, asked("?What?", stream=stream, **{"0": 1, "": 2}))
    assert (reply.status, reply.headers["x-uhd-ignored"]) == (200, '0, ""')


def test_an_ignored_name_is_told_whatever_it_is_written_with(server: Running) -> None:
    names = {"two words": 1, "größe": 1, "a\r\nSet-Cookie: b": 1, "x" * 100: 1}
    reply = server.request("POST", CHAT, asked("?What?", **names))
    told = "two%20words, gr%C3%B6%C3%9Fe, a%0D%0ASet-Cookie%3A%20b, " + "x" * 60
    assert (reply.status, reply.headers["x-uhd-ignored"]) == (200, told)
