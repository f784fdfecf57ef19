"""Messages of a conversation, as callers give them and as a chat template takes them."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from uhd_edge.runtime.errors import PromptError
from uhd_edge.runtime.schema.plain_json import HALVED, find_halved_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from uhd_edge.runtime.answer import ToolCall
    from uhd_edge.runtime.bundles.manifest import Prompt


@dataclass(frozen=True)
class TextPart:
    """Words in a message."""

    text: str


@dataclass(frozen=True)
class ImagePart:
    """The place of the next image in a message; images are counted through the whole conversation."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation.

    `thinking` is what an assistant thought before it said this. The chat template decides whether
    the model sees it again; most leave it out of turns before the last question. `tool_calls` are
    the functions it wanted to be called. Each result is a message of the role "tool", in the order
    of the calls.
    """

    role: Literal["system", "user", "assistant", "tool"]
    parts: tuple[TextPart | ImagePart, ...]
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class ToolResult:
    """What came of a call: a text, or a value that becomes JSON. Raises `PromptError` for anything else."""

    call: ToolCall
    value: Any

    def __post_init__(self) -> None:
        try:
            self.text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise PromptError(f"the result of {self.call.name} is no text and no JSON ({error})") from error

    @property
    def text(self) -> str:
        """What the model reads."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)


def user_message(question: str, *, images: int) -> Message:
    """Return a user's turn: all images, then the question. Raises `PromptError` when the question is blank."""
    if not question.strip():
        raise PromptError("the question is empty; ask something")
    return Message("user", (*[ImagePart()] * images, TextPart(question)))


def result_messages(results: Sequence[ToolResult], *, images: int) -> list[Message]:
    """Return the results of calls as messages; images that come with them stand in the last one."""
    texts = [TextPart(result.text) for result in results]
    last = Message("tool", (*[ImagePart()] * images, texts[-1]))
    return [*(Message("tool", (text,)) for text in texts[:-1]), last]


def split_beginning(messages: Sequence[Message]) -> tuple[Sequence[Message], str]:
    """Split off the text of an assistant's message at the end, with which the answer begins; "" without one.

    Raises `PromptError` for calls at the end, whose results are missing.
    """
    if not messages or messages[-1].role != "assistant":
        return messages, ""
    if messages[-1].tool_calls:
        raise PromptError("the conversation ends with a call of a tool; give its result, or ask something")
    return messages[:-1], "".join(part.text for part in messages[-1].parts if isinstance(part, TextPart))


def check_messages(messages: Sequence[Message], prompt: Prompt, *, images: int) -> None:
    """Raise `PromptError` unless there is a place for each image, and all text can be put into a prompt."""
    places = sum(isinstance(part, ImagePart) for message in messages for part in message.parts)
    if places != images:
        raise PromptError(f"the conversation has {places} places for images, but {images} images were given")
    for before, message in zip((None, *messages), messages, strict=False):
        if message.role == "tool" and not (before is not None and (before.role == "tool" or before.tool_calls)):
            raise PromptError("a message of the role tool follows no tool_calls; put it after the call it belongs to")
    for text in _texts(messages):
        if prompt.tokens.image in text:
            raise PromptError(
                f"the text contains {prompt.tokens.image}, which stands for an image; "
                "leave it out and give the image itself"
            )
        if find_halved_text(text) is not None:
            raise PromptError(HALVED)


def as_template_message(message: Message, prompt: Prompt) -> dict[str, Any]:
    """Return a message as transformers hands it to a chat template: a role, and a list of parts as content."""
    content = [
        {"type": "text", "text": normalized(part.text, prompt)} if isinstance(part, TextPart) else {"type": "image"}
        for part in message.parts
    ]
    thinking = {"reasoning_content": normalized(message.thinking, prompt)} if message.thinking else {}
    calls = [
        {"type": "function", "function": {"name": call.name, "arguments": dict(call.arguments)}}
        for call in message.tool_calls
    ]
    return {"role": message.role, "content": content, **thinking, **({"tool_calls": calls} if calls else {})}


def _texts(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        yield from (part.text for part in message.parts if isinstance(part, TextPart))
        yield message.thinking
        for call in message.tool_calls:
            yield call.name
            yield _arguments_text(call)


def _arguments_text(call: ToolCall) -> str:
    try:
        return json.dumps(dict(call.arguments), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise PromptError(f"the arguments of the call of {call.name} are no JSON ({error})") from error


def normalized(text: str, prompt: Prompt) -> str:
    """Bring text into the tokenizer's Unicode form, before special tokens stand next to it."""
    return text if prompt.normalization is None else unicodedata.normalize(prompt.normalization, text)
