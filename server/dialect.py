"""What the server needs of an API: how a question is read from a body, and how its answer is written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from uhd_edge.runtime.prompt.messages import ImagePart, split_beginning
from uhd_edge.server.openai.sent_names import SentNames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.answer import Answer, TokenLogprob
    from uhd_edge.runtime.options import AskOptions
    from uhd_edge.runtime.prompt.messages import Message
    from uhd_edge.server.errors import ApiError
    from uhd_edge.server.media.parts import MediaPart


@dataclass(frozen=True)
class Asked:
    """A question: its conversation, images and videos in the order of their places, and settings.

    `ignored` names what the request had besides. `sent` is what the client called its parameters, which makes no other
    question of it.
    """

    messages: tuple[Message, ...]
    media: tuple[MediaPart, ...]
    options: AskOptions
    stream: bool = False
    ignored: tuple[str, ...] = ()
    sent: SentNames = field(default_factory=SentNames, compare=False)

    @property
    def continues(self) -> bool:
        """Whether the answer goes on with a beginning."""
        return bool(split_beginning(self.messages)[1])

    def with_places(self, places: Sequence[int]) -> tuple[Message, ...]:
        """Return the messages with so many places for each image or video, where one stands now."""
        left = iter(places)
        return tuple(
            replace(message, parts=tuple(part for one in message.parts for part in _repeated(one, left)))
            for message in self.messages
        )


class AnsweredError(Exception):
    """A request asks nothing of the model; `content` is its reply."""

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__("there is nothing to ask")
        self.content = content


class ReplyWriter(Protocol):
    """Writes an answer: whole as one object, or as events of a stream of `media_type`."""

    @property
    def media_type(self) -> str:
        """The content type of the stream."""
        ...

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Return the answer as one object."""
        ...

    def first(self) -> bytes:
        """Return what begins a stream."""
        ...

    def piece(self, text: str, tokens: Sequence[TokenLogprob] = ()) -> bytes:
        """Return more of the text, and the tokens in it where their probabilities were asked for."""
        ...

    def thought(self, text: str) -> bytes:
        """Return more of the model's thoughts."""
        ...

    def last(self, answer: Answer, tokens: Sequence[TokenLogprob] = ()) -> bytes:
        """Return what ends a stream; `tokens` are those that came with no piece."""
        ...

    def failed(self, error: ApiError) -> bytes:
        """Return what ends a stream with an error."""
        ...


class Dialect(Protocol):
    """An API."""

    def read(self, body: bytes) -> tuple[Asked, ReplyWriter]:
        """Read a request; raises `ApiError` 400 or 404 that says what is wrong, and `AnsweredError`."""
        ...

    def error_body(self, error: ApiError) -> dict[str, Any]:
        """Return an error as this API's clients read it."""
        ...


def _repeated(part: Any, left: Any) -> tuple[Any, ...]:
    return (part,) * next(left) if isinstance(part, ImagePart) else (part,)
