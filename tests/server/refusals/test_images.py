"""Images that the server does not take."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support.running_server import CHAT, Running, asked, data_uri
from support.server.every_address import OLLAMA_CHAT, OLLAMA_GENERATE, RESPONSES, refusal
from support.server.png import plain, png

ASK = "?What?"
URL = "the file"


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("data:image/png;base64,@@@@", "base64 is broken"),
        ("data:image/png;base64,iVBORw0KGgé=", "base64 is broken"),
        ("data:image/png;base64,iVBORw0KG", "base64 is broken"),
        ("data:image/png;base64,iVBORw0KGg", "not readable|not an image"),
        ("data:image/png;base64,", "no bytes"),
        ("data:image/png;base64", "needs a comma"),
        ("data:,hello", "not an image"),
        (b"no image at all", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "not readable|not an image"),
        (png(30_000, 30_000), "limit of 1000000 pixels"),
        (png(60_000, 60_000, pixels=bytes(10**6)), "limit"),
        (png(500, 500, pixels=b"too few"), "truncated"),
        (plain(1001, 1000), "over the limit of 1000000 pixels"),
        ("https://example.org/cat.png", "this server does not fetch images"),
        ("file:///etc/passwd", "this server does not fetch images"),
        ("/etc/passwd", "this server does not fetch images"),
        ("", "this server does not fetch images"),
    ],
)
def test_an_image_that_cannot_be_used_is_said_so(server: Running, image: Any, said: str) -> None:
    reply = server.request("POST", CHAT, asked(image, ASK))
    assert (reply.status, reply.error["type"], reply.error["param"]) == (
        400,
        "invalid_request_error",
        "messages.0.content.0.image_url.url",
    )
    assert re.search(said, reply.error["message"])
    assert "\n" not in reply.error["message"]


@pytest.mark.parametrize(
    ("part", "noun"),
    [
        ({"type": "image_url", "image_url": {"url": URL}}, "image"),
        ({"type": "video_url", "video_url": {"url": URL}}, "video"),
        ({"type": "video", "video": [URL, URL]}, "frame"),
    ],
)
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://example.org/x", "the {noun} must be a data URI .*; this server does not fetch {noun}s"),
        ("data:;base64,@@@@", "the {noun}: a data URI's base64 is broken"),
        (
            "data:;base64,aGVsbG8=",
            r"^messages\.0\.content\.0\.[a-z_.]+: (the {noun}: not|a {noun} needs 1048576|{noun} 0 of a video: )",
        ),
    ],
)
def test_an_error_calls_each_medium_by_its_name(
    server: Running, part: dict[str, Any], noun: str, url: str, said: str
) -> None:
    asking = {
        "role": "user",
        "content": [json.loads(json.dumps(part).replace(URL, url)), {"type": "text", "text": "?"}],
    }
    reply = server.request("POST", CHAT, {"model": "uhd-tiny", "messages": [asking]})
    kind = "image" if noun == "image" else "video"
    assert reply.status == 400
    assert re.search(said.format(noun=noun), reply.error["message"])
    assert reply.error["code"] == (f"invalid_{kind}_url" if url.startswith("https") else f"invalid_{kind}")
    told = {"role": "system", "content": asking["content"]}
    refused = server.request("POST", CHAT, {"model": "uhd-tiny", "messages": [told, asking]})
    assert f"has {'an image' if kind == 'image' else 'a video'}; only" in refused.error["message"]


def test_pixels_count_for_all_images_together(server: Running) -> None:
    reply = server.request("POST", CHAT, asked(*[plain(700, 700)] * 3, ASK))
    assert (reply.status, reply.error["code"]) == (400, "invalid_image")
    assert server.request("POST", CHAT, asked(*[plain(700, 700)] * 2, ASK)).status == 200


GOOD, BROKEN = (data_uri(data) for data in (plain(8, 8), b"no image at all, but bytes enough for base64 that is bare"))
WHAT = {"role": "user", "content": "What?"}


def beside(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": [*parts, {"type": "text", "text": "What?"}]}


@pytest.mark.parametrize(
    "broken", [BROKEN, "data:;base64,@@@@", "https://example.org/cat.png", data_uri(plain(1001, 1000))]
)
@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        (
            CHAT,
            lambda url: {
                "messages": [WHAT, beside(*({"type": "image_url", "image_url": {"url": one}} for one in (GOOD, url)))]
            },
            "messages.1.content.1.image_url.url",
        ),
        *[
            (CHAT, lambda url, part=part: {"messages": [WHAT, beside(part(url))]}, f"messages.1.content.0.{where}")
            for where, part in {
                "video": lambda url: {"type": "video", "video": [GOOD, url]},
                "video_url.frames": lambda url: {"type": "video_url", "video_url": {"frames": [GOOD, url]}},
                "source.data": lambda url: {"type": "image", "source": {"type": "base64", "data": url}},
                "image": lambda url: {"type": "image", "image": url},
                "image_url": lambda url: {"image_url": url},
            }.items()
        ],
        (
            RESPONSES,
            lambda url: {
                "instructions": "x",
                "input": [WHAT, beside(*({"type": "input_image", "image_url": one} for one in (GOOD, url)))],
            },
            "input.1.content.1.image_url",
        ),
        (OLLAMA_CHAT, lambda url: {"messages": [WHAT, {**WHAT, "images": [GOOD, url]}]}, "messages.1.images.1"),
        (OLLAMA_GENERATE, lambda url: {"system": "x", "prompt": "x", "images": [GOOD, url]}, "images.1"),
    ],
)
def test_an_error_says_which_image_of_a_request_it_is_about(
    server: Running, path: str, body: Any, place: str, broken: str
) -> None:
    reply = server.request("POST", path, {"model": "uhd-tiny", **body(broken)})
    message = refusal(path, reply.json)
    assert (reply.status, "in bytes" in message) == (400, False), message
    assert re.match(rf"{re.escape(place)}(\.1)?: ", message), message  # which of several frames cannot be had
    assert path.startswith("/api/") or f"{reply.error['param']}: " == message[: len(reply.error["param"]) + 2]
