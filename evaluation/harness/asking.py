"""What both harnesses share: parts of a question in, the answer's text out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from uhd_edge.runtime.errors import EngineError, ImageError, OptionError, PromptError
from uhd_edge.runtime.images.video import Video
from uhd_edge.runtime.prompt.messages import ImagePart, Message, TextPart

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.options import AskOptions

# A role, and what it says in order: ("text", words), ("image", a picture as `ask` takes it), ("video", a path).
Turn: TypeAlias = "tuple[Any, Iterable[tuple[str, Any]]]"

# The names that harnesses have for options of ours; what greedy decoding ignores is left out.
GENERATION = {"max_new_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p", "until": "stop"}

log = logging.getLogger(__name__)


def answer_turns(assistant: Assistant, turns: Iterable[Turn], options: AskOptions, *, name: str) -> Answer | None:
    """Answer a conversation whose pictures and texts stand in any order.

    A question that cannot be asked counts as wrong, as in `uhd eval`: the answer is None, and a warning has its
    `name` and the reason. Raises `OptionError` for a part of another kind, and `ModelError` when the language model
    fails.
    """
    images: list[Any] = []
    messages = [Message(role, tuple(_part(kind, value, images) for kind, value in parts)) for role, parts in turns]
    try:
        return assistant.ask(images, messages, **options)
    except (ImageError, PromptError, EngineError) as error:
        log.warning("%s: no answer (%s)", name, error)
        return None


def generation_options(given: Mapping[str, Any]) -> AskOptions:
    """Name a harness's settings of generation as ours; `do_sample: false` means the likeliest token, always."""
    options: dict[str, Any] = {
        ours: given[theirs] for theirs, ours in GENERATION.items() if given.get(theirs) not in (None, [], "")
    }
    if given.get("do_sample") is False:
        options["temperature"] = 0
    if isinstance(stop := options.get("stop"), list):
        options["stop"] = [text for text in stop if text]
    return options  # type: ignore[return-value]  # checked by `ask`


def _part(kind: str, value: Any, images: list[Any]) -> TextPart | ImagePart:
    if kind == "text":
        return TextPart(value)
    if kind not in ("image", "video"):
        raise OptionError(f"the question has {kind} in it; uhd-edge sees images and videos")
    images.append(Video(value) if kind == "video" else value)
    return ImagePart()
