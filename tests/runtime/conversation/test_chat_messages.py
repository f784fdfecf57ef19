"""OpenAI's messages in the place of our own."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from support.images.squares import picture

from uhd_edge import Assistant, ImagePart, Message, TextPart, ToolCall
from uhd_edge.runtime.conversation.chat_messages import read_messages
from uhd_edge.runtime.errors import ImageError, PromptError

TEXT = {"type": "text", "text": "What is it?"}
PLACE = {"type": "image"}
FILE = b"the bytes of a file"


def url_of(file: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(file).decode()}"}}


def call(arguments: object) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": "move", "arguments": arguments}}


def png(seed: int) -> bytes:
    file = io.BytesIO()
    picture(seed).save(file, "PNG")
    return file.getvalue()


def test_dicts_become_messages() -> None:
    dicts = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [PLACE, TEXT], "name": "Ada"},
        {"role": "assistant", "content": "A cat.", "refusal": None},
        Message("user", (TextPart("Sure?"),)),
    ]
    messages, images = read_messages(dicts, ["a.png"])
    assert messages == (
        Message("system", (TextPart("Be brief."),)),
        Message("user", (ImagePart(), TextPart("What is it?"))),
        Message("assistant", (TextPart("A cat."),)),
        Message("user", (TextPart("Sure?"),)),
    )
    assert images == ("a.png",)


@pytest.mark.parametrize(
    ("arguments", "read"),
    [('{"metres": 1.5}', {"metres": 1.5}), ({"metres": 1.5}, {"metres": 1.5}), ("", {}), ("{}", {})],
)
def test_thoughts_calls_and_results_become_messages(arguments: object, read: dict[str, float]) -> None:
    dicts = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [call(arguments)]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    messages, _ = read_messages(dicts, [])
    assert messages[1:] == (
        Message("assistant", (), "Hm.", (ToolCall("move", read),)),
        Message("tool", (TextPart("done"),)),
    )


def test_a_result_without_a_call_is_refused(assistant: Assistant) -> None:
    with pytest.raises(PromptError, match="follows no tool_calls"):
        assistant.ask([{"role": "user", "content": "Go."}, {"role": "tool", "content": "done"}])


def test_arguments_that_are_no_json_are_refused(assistant: Assistant) -> None:
    said = Message("assistant", (), tool_calls=(ToolCall("move", {"to": object()}),))
    with pytest.raises(PromptError, match="the arguments of the call of move are no JSON"):
        assistant.ask([Message("user", (TextPart("Go."),)), said, Message("user", (TextPart("Sure?"),))])


def test_images_are_in_the_order_of_their_places() -> None:
    content = [url_of(FILE), PLACE, TEXT, url_of(b"another"), PLACE]
    messages, images = read_messages([{"role": "user", "content": content}], ["a.png", "b.png", "c.png"])
    assert images == (FILE, "a.png", b"another", "b.png", "c.png")
    assert [isinstance(part, ImagePart) for part in messages[0].parts] == [True, True, False, True, True]


def test_a_conversation_in_dicts_is_answered_as_in_messages(assistant: Assistant) -> None:
    ours = [Message("user", (ImagePart(), TextPart("First."), ImagePart(), TextPart("What has changed?")))]
    expected = assistant.ask([picture(0), picture(1)], ours, max_tokens=8)
    content = [url_of(png(0)), {"type": "text", "text": "First."}, PLACE, {"type": "text", "text": "What has changed?"}]
    answer = assistant.ask(picture(1), [{"role": "user", "content": content}], max_tokens=8)
    assert (answer.text, answer.usage, answer.views) == (expected.text, expected.usage, expected.views)
    only = [{"role": "user", "content": [url_of(png(0)), TEXT]}]
    assert assistant.ask(only, max_tokens=8).text == assistant.ask(picture(0), "What is it?", max_tokens=8).text


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (5, "message 1 is int; it must be a dict with role and content"),
        ({"content": "What?"}, "message 1: the role is None; it must be one of system, developer, user, assistant"),
        ({"role": "narrator", "content": "What?"}, "message 1: the role is 'narrator'; it must be one of"),
        (
            {"role": "assistant", "content": "A cat.", "reasoning_content": 5},
            "message 1: reasoning_content is int; it must be text",
        ),
        ({"role": "assistant", "tool_calls": 5, "content": ""}, "message 1: tool_calls is int; it must be a list"),
        ({"role": "assistant", "tool_calls": [{}]}, 'message 1, call 0: it must have "function"'),
        ({"role": "assistant", "tool_calls": [call("{")]}, "message 1, call 0: the text of the arguments is not JSON"),
        ({"role": "assistant", "tool_calls": [call("[]")]}, "message 1, call 0: the arguments must be an object"),
        ({"role": ["user"], "content": "What?"}, "message 1: the role is ['user']; it must be one of"),
        ({"role": "user"}, "message 1: the content is NoneType; it must be text or a list of parts"),
        (
            {"role": "user", "content": [TEXT, "What?"]},
            "message 1, part 1: the type is None; it must be",
        ),
        ({"role": "user", "content": [{"type": "audio"}]}, "message 1, part 0: the type is 'audio'; it must be text"),
        ({"role": "user", "content": [{"type": "text"}]}, 'message 1, part 0: a part of type text must have "text"'),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "data:,"}]},
            'message 1, part 0: a part of type image_url must have "image_url": {"url": "data:.."}',
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}]},
            "message 1, part 0: the URL must be a data URI; read or fetch 'https://example.org/cat.png' yourself",
        ),
    ],
)
def test_what_is_wrong_is_one_line_that_names_its_place(message: Any, said: str) -> None:
    with pytest.raises(PromptError) as caught:
        read_messages([{"role": "system", "content": "Be brief."}, message], [])
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_broken_data_uri_is_an_image_error_that_names_its_place() -> None:
    broken = {"type": "image_url", "image_url": {"url": "data:image/png;base64,@@@@"}}
    with pytest.raises(ImageError, match=r"^message 0, part 0: a data URI's base64 is broken"):
        read_messages([{"role": "user", "content": [broken]}], [])


@pytest.mark.parametrize(("content", "images"), [([PLACE, TEXT], None), ([TEXT], "a.png"), ([PLACE, TEXT], [1, 2])])
def test_places_and_images_must_be_as_many(assistant: Assistant, content: Any, images: Any) -> None:
    images = [picture()] * len(images) if isinstance(images, list) else picture() if images else None
    with pytest.raises(PromptError, match=r"places for images, but . images were given"):
        assistant.ask(images, [{"role": "user", "content": content}])
