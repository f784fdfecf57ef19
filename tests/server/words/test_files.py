"""A part that is a file is taken as the image or the video that is in it, and refused with what it has otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.running_server import data_uri
from support.server.asking import AGENT, asked, chat, ollama_chat, responses
from support.server.png import plain

from uhd_edge.server.errors import ApiError
from uhd_edge.server.openai.chat import ChatCompletions
from uhd_edge.server.responses.dialect import Responses

if TYPE_CHECKING:
    from uhd_edge.server.dialect import Asked, Dialect

PNG = plain(8, 8)
URI = data_uri(PNG)
BARE = URI.partition(",")[2]
FILM = "data:video/mp4;base64,AAAA"
CHATS = (chat, ChatCompletions(AGENT, strict=True))
ALL: tuple[Dialect, ...] = (*CHATS, responses, Responses(AGENT, strict=True))


def with_file(dialect: Dialect, file: dict[str, Any], **beside: Any) -> Asked:
    """What is asked with a file as the address has it, and a text."""
    flat = isinstance(dialect, Responses)
    part = {"type": "input_file", **file} if flat else {"type": "file", "file": file}
    text = {"type": "input_text" if flat else "text", "text": "What?"}
    turns = [{"role": "user", "content": [text, {**part, **beside}]}]
    return asked(dialect, **{"input" if flat else "messages": turns})


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (URI, "image"),
        (BARE, "image"),
        (data_uri(PNG, "application/octet-stream"), "image"),
        (data_uri(PNG, ""), "image"),
        (data_uri(PNG, "IMAGE/X-PNG;name=a.png"), "image"),
        (FILM, "video"),
    ],
)
def test_the_type_of_the_data_says_what_a_file_is(dialect: Dialect, data: str, kind: str) -> None:
    question = with_file(dialect, {"filename": "a.bin", "file_data": data})
    assert [(one.kind, one.urls) for one in question.media] == [(kind, (data,))]
    assert question.ignored == ()
    place = "input.0.content.1" if isinstance(dialect, Responses) else "messages.0.content.1.file"
    assert question.sent.of(question.media[0].place) == f"{place}.file_data"


@pytest.mark.parametrize("dialect", ALL)
@pytest.mark.parametrize(
    ("file", "told"),
    [
        ({"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQ="}, "application/pdf"),
        ({"file_data": f"data:application/pdf;base64,{BARE}"}, "application/pdf"),
        ({"file_data": "data:;base64,JVBERi0xLjQ="}, "something else"),
        ({"file_data": 5}, "something else"),
        ({"file_id": "file-1"}, "a file_id"),
        ({"file_url": "https://example.org/a.pdf"}, "a file_url"),
        ({}, "none"),
    ],
)
def test_any_other_file_is_refused_with_what_it_has(dialect: Dialect, file: dict[str, Any], told: str) -> None:
    place = "input.0.content.1" if isinstance(dialect, Responses) else "messages.0.content.1"
    with pytest.raises(ApiError) as refused:
        with_file(dialect, file)
    message = f"{place}: a file must have an image or a video in file_data, and has {told}; send either, or text"
    assert (str(refused.value), refused.value.param) == (message, place)


def test_wishes_for_a_file_count_and_what_else_it_has_is_named_or_refused() -> None:
    for dialect, within in ((chat, "messages[].content[].file"), (responses, "input[].content[]")):
        question = with_file(dialect, {"file_data": URI, "weight": 5}, detail="low")
        assert (question.media[0].detail, question.ignored) == ("low", (f"{within}.weight",))
    for other in ({"text": "What?"}, {"image_url": {"url": URI}}):
        with pytest.raises(ApiError, match="is in a part of the type file; send each in a part of its own"):
            with_file(chat, {"file_data": URI}, **other)
    said = [{"role": "user", "content": [{"type": "file", "file": {"file_data": URI}}]}]
    assert len(asked(ollama_chat, messages=said).media) == 1


def test_a_file_of_anybody_but_the_user_is_refused() -> None:
    said = {"role": "assistant", "content": [{"type": "file", "file": {"file_data": URI}}]}
    for dialect in CHATS:
        with pytest.raises(ApiError, match=r"^messages\.0\.content\.0: .* has an image; only messages of the user"):
            asked(dialect, messages=[said, {"role": "user", "content": "What?"}])
