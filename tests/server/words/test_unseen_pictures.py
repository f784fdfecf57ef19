"""An image or a video is looked at, or refused with its place: nothing that is asked about is left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.running_server import data_uri
from support.server.asking import AGENT, SAID, asked, chat, ollama_chat, ollama_generate, responses
from support.server.png import plain

from uhd_edge.server.errors import ApiError
from uhd_edge.server.openai.chat import ChatCompletions
from uhd_edge.server.responses.dialect import Responses

if TYPE_CHECKING:
    from uhd_edge.server.dialect import Dialect

URI = data_uri(plain(8, 8))
BARE = URI.partition(",")[2]
PICTURE = {"type": "image_url", "image_url": {"url": URI}}
CALL = {"type": "function_call", "call_id": "1", "name": "go", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "1", "output": "done"}
THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
FORMS: dict[str, Any] = {
    "a data URI": URI,
    "WebP": f"UklGRiQAAABXRUJQVlA4{'A' * 200}",
    "base64": BARE,
    "a list": [URI],
    "a part": PICTURE,
    "Anthropic's": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BARE}},
    "a wrapped one": {"file": [{"file_data": URI}]},
}


def turn(**said: Any) -> dict[str, Any]:
    return {"role": "user", "content": "What?", **said}


def answer(**said: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "A dog.", **said}


def part(**more: Any) -> list[dict[str, Any]]:
    return [turn(content=[{"type": "text", "text": "What?", **more}])]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("dialect", "body", "place"),
    [
        (chat, lambda seen: {"images": seen}, "images"),
        (chat, lambda seen: {"prediction": {"type": "content", "content": seen}}, "prediction.content"),
        (chat, lambda seen: {"mm_processor_kwargs": {"images": seen}}, "mm_processor_kwargs.images"),
        (chat, lambda seen: {"chat_template_kwargs": {"image": seen}}, "chat_template_kwargs.image"),
        (chat, lambda seen: {"messages": [turn(images=seen)]}, "messages.0.images"),
        (chat, lambda seen: {"messages": [turn(attachments=[{"image": seen}])]}, "messages.0.attachments.0.image"),
        (chat, lambda seen: {"messages": [*SAID, answer(annotations=[{"image": seen}]), *SAID]}, "messages.1.annot"),
        (chat, lambda seen: {"messages": part(image=seen)}, "messages.0.content.0.image"),
        (chat, lambda seen: {"messages": part(source=seen)}, "messages.0.content.0.source"),
        (chat, lambda seen: {"messages": part(cache_control=seen)}, "messages.0.content.0.cache_control"),
        (responses, lambda seen: {"images": seen}, "images"),
        (responses, lambda seen: {"input": [turn(images=seen)]}, "input.0.images"),
        (responses, lambda seen: {"input": [turn(), {**CALL, "image": seen}, OUTPUT]}, "input.1.image"),
        (responses, lambda seen: {"input": [turn(), CALL, {**OUTPUT, "images": seen}]}, "input.2.images"),
        (responses, lambda seen: {"input": [turn(), {**THOUGHT, "image": seen}, turn()]}, "input.1.image"),
        (
            responses,
            lambda seen: {"input": [turn(), THOUGHT | {"content": [{"text": "Hm.", "image": seen}]}, turn()]},
            "input.1.content.0.image",
        ),
        (ollama_chat, lambda seen: {"images": seen}, "images"),
        (ollama_chat, lambda seen: {"options": {"image": seen}}, "options.image"),
        (ollama_chat, lambda seen: {"messages": [turn(image=seen)]}, "messages.0.image"),
        (ollama_generate, lambda seen: {"messages": [turn(content=[seen])]}, "messages.0.content.0"),
        (ollama_generate, lambda seen: {"video": seen}, "video"),
        # Where what says nothing to the model stands, at each address.
        *[
            (chat, lambda seen, name=name: {name: {"image": seen}}, name)
            for name in ("metadata", "cache_control", "user")
        ],
        (responses, lambda seen: {"metadata": {"of": seen}}, "metadata.of"),
        (responses, lambda seen: {"max_tool_calls": seen}, "max_tool_calls"),
        (responses, lambda seen: {"input": [turn(id=seen)]}, "input.0.id"),
        (responses, lambda seen: {"input": [turn(), CALL, {**OUTPUT, "created_by": seen}]}, "input.2.created_by"),
        (responses, lambda seen: {"input": [turn(), {**THOUGHT, "encrypted_content": seen}, turn()]}, "input.1.encr"),
        (responses, lambda seen: {"input": part(annotations=seen)}, "input.0.content.0.annotations"),
        (ollama_chat, lambda seen: {"keep_alive": seen}, "keep_alive"),
        (ollama_chat, lambda seen: {"options": {"num_ctx": seen}}, "options.num_ctx"),
        (ollama_chat, lambda seen: {"messages": [turn(tool_name=seen)]}, "messages.0.tool_name"),
    ],
)
def test_a_picture_where_nobody_looks_is_refused_with_its_place(
    dialect: Dialect, body: Any, place: str, form: str
) -> None:
    with pytest.raises(ApiError) as refused:
        asked(dialect, **body(FORMS[form]))
    assert refused.value.status == 400
    assert str(refused.value.param).startswith(place)
    told = ("is an image or a video where none is looked at; send it with", "is in a part of the type")
    assert str(refused.value).startswith(tuple(f"{refused.value.param} {one}" for one in told))


@pytest.mark.parametrize("role", ["system", "developer", "assistant", "tool"])
def test_a_picture_of_anybody_but_the_user_is_refused_with_its_place(role: str) -> None:
    said = {"role": role, "content": [{"type": "text", "text": "x"}, PICTURE], "tool_call_id": "1"}
    for dialect, turns in ((chat, "messages"), (responses, "input"), (ollama_chat, "messages")):
        with pytest.raises(ApiError, match=rf"^{turns}\.0\.content\.1: .* has an image; only messages of the user may"):
            asked(dialect, **{turns: [said, turn()]})
    result = {**OUTPUT, "output": [{"type": "input_image", "image_url": URI}]}
    with pytest.raises(ApiError, match=r"^input\.1\.output\.0: "):
        asked(responses, input=[CALL, result, turn()])


@pytest.mark.parametrize(
    "said",
    [
        {"prediction": {"type": "content", "content": "An image of a dog"}},
        {"image": {"context_compression": "enabled"}},
        {"images": []},
        {"video": None},
        {"messages": [turn(), answer(signature="A" * 200, image=False), turn()]},
        {"messages": [turn(), answer(provider_specific_fields={"url": "https://example.org"}), turn()]},
        {"messages": [turn(), answer(parsed={"image": "front camera", "video": ["a"]}), turn()]},
        {"messages": [turn(), answer(annotations=[{"url_citation": {"image": "https://example.org/i.png"}}]), turn()]},
        {"messages": [turn(), answer(audio={"id": "a", "data": f"UklGRiQAAABXQVZFZm10{'A' * 200}"}), turn()]},
        {"image": "front.jpg", "mm_processor_kwargs": {"image": "RGB"}},
    ],
)
def test_what_is_no_picture_is_left_out(said: dict[str, Any]) -> None:
    assert asked(chat, **said).media == ()


def test_a_strict_server_refuses_a_picture_where_nobody_looks_too() -> None:
    answered = [turn(), answer(annotations=[{"image": URI}]), turn()]
    told = [turn(content=[{"type": "input_text", "text": "What?", "logprobs": URI}])]
    strict = ChatCompletions(AGENT, strict=True)
    for said in ({"metadata": {"image": URI}}, {"user": URI}, {"messages": answered}):
        with pytest.raises(ApiError, match="is an image or a video where none is looked at"):
            asked(strict, **said)
    for said in ({"metadata": {"image": URI}}, {"input": [{**turn(), "status": URI}]}, {"input": told}):
        with pytest.raises(ApiError, match="is an image or a video where none is looked at"):
            asked(Responses(AGENT, strict=True), **said)


def test_a_question_nested_as_deeply_as_json_may_be_is_looked_through() -> None:
    nested = json.loads("[" * 400 + "]" * 400)
    assert asked(chat, prediction=nested).ignored == ("prediction",)
    inner = nested
    while inner:
        inner = inner[0]
    inner.append(URI)
    with pytest.raises(ApiError, match=r"^prediction(\.0){400} is an image"):
        asked(chat, prediction=nested)


@pytest.mark.parametrize("form", ["https://example.org/a.png", ["http://a/b.png"], {"url": "file:///a.png"}])
def test_a_url_that_is_called_a_picture_is_refused_too(form: Any) -> None:
    with pytest.raises(ApiError, match=r"^images is an image or a video where none is looked at"):
        asked(chat, images=form)
    with pytest.raises(ApiError, match=r"^messages\.1\.image is an image"):
        asked(chat, messages=[turn(), answer(image=form), turn()])
