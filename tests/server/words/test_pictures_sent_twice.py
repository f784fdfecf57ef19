"""A picture that stands in a message once more, where nobody looks, is the one that is looked at in its content."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from support.running_server import data_uri
from support.server.asking import asked, chat, ollama_chat, responses
from support.server.png import plain

from uhd_edge.server.errors import ApiError
from uhd_edge.server.media.data import decode_media

PNG, OTHER = plain(8, 8), plain(9, 8)
URI = data_uri(PNG)
URL = "https://example.org/a.png"
FILM = {"type": "video_url", "video_url": {"frames": [URI, data_uri(OTHER)]}}
TEXT = {"type": "text", "text": "What?"}


def part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def turn(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [TEXT, *parts], **more}


@pytest.mark.parametrize(
    "again",
    [
        {"files": [{"type": "image", "url": URI, "name": "a.png"}]},
        {"files": [{"type": "image", "url": URI}, {"type": "file", "id": "b"}]},
        {"files": [{"file": {"data": data_uri(PNG, "image/x-png")}}]},
        {"images": [base64.b64encode(PNG).decode()]},
        {"images": [base64.urlsafe_b64encode(PNG).decode().rstrip("=")]},
        {"attachments": URI},
    ],
)
def test_the_same_picture_beside_the_content_is_looked_at_once(again: dict[str, Any]) -> None:
    (name,) = again
    for dialect, turns in ((chat, "messages"), (responses, "input")):
        question = asked(dialect, **{turns: [turn(part(URI), **again)]})
        assert [one.urls for one in question.media] == [(URI,)]
        assert question.ignored == (f"{turns}[].{name}",)
    assert asked(chat, messages=[turn(FILM, **again)]).ignored == (f"messages[].{name}",)


def test_the_same_picture_beside_ollamas_is_looked_at_once() -> None:
    bare = base64.b64encode(PNG).decode()
    said = {"role": "user", "content": "What?", "images": [bare], "files": [{"type": "image", "url": URI}]}
    question = asked(ollama_chat, messages=[said])
    assert question.ignored == ("messages[].files",)
    (picture,) = question.media
    assert decode_media(picture.urls[0], picture) == PNG


def test_the_same_url_is_looked_at_once() -> None:
    question = asked(chat, messages=[turn(part(URL), images=[URL])], image=URL)
    assert (len(question.media), question.ignored) == (1, ("image", "messages[].images"))
    with pytest.raises(ApiError, match=r"^messages\.0\.images is an image"):
        asked(chat, messages=[turn(part(URL), images=[URL, f"{URL}?size=2"])])


def test_the_same_picture_beside_the_messages_is_looked_at_once() -> None:
    for told in ({"files": [{"url": URI}]}, {"metadata": {"image": URI}}):
        assert len(asked(chat, messages=[turn(part(URI))], **told).media) == 1


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ([turn(part(URI), files=[{"url": URI}, {"url": data_uri(OTHER)}])], "messages.0.files.1.url"),
        ([turn(files=[{"url": URI}])], "messages.0.files.0.url"),
        ([turn(part(URI)), turn(files=[{"url": URI}])], "messages.1.files.0.url"),
        ([{"role": "user", "content": URI, "files": [{"url": URI}]}], "messages.0.files.0.url"),
    ],
)
def test_another_picture_is_refused_as_before(said: list[Any], place: str) -> None:
    with pytest.raises(ApiError, match="is an image or a video where none is looked at") as refused:
        asked(chat, messages=said)
    assert refused.value.param == place


def test_a_text_that_is_a_picture_in_letters_is_read_as_text() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "go", "arguments": {"to": URI}}}
    said = [
        {"role": "user", "content": URI},
        {"role": "assistant", "content": "", "reasoning_content": URI, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": URI},
        turn({"type": "text", "text": URI}),
    ]
    assert asked(chat, messages=said).media == ()


def test_what_is_no_part_is_refused_as_before() -> None:
    for wrong in ({"type": "film", "video_url": {"frames": 5}}, {"video_url": {"url": 5}}, {"image_url": {"url": {}}}):
        with pytest.raises(ApiError):
            asked(chat, messages=[turn(wrong, files=[{"url": URI}])])
