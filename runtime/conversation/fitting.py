"""A conversation with its next question is laid out, and shortened where that is wanted, before images are encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.runtime.conversation.prompt_tokens import common_length, prompt_tokens
from uhd_edge.runtime.conversation.turns import messages_of, shortened
from uhd_edge.runtime.errors import PromptError
from uhd_edge.runtime.prompt.layout import lay_out, user_message
from uhd_edge.runtime.prompt.room import PromptPlan, PromptSize, prompt_size, require_room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.prompt_tokens import PromptTokens
    from uhd_edge.runtime.conversation.request import Request
    from uhd_edge.runtime.conversation.turns import Conversation, NewImage, Turn
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.llm.segments import TextSegment
    from uhd_edge.runtime.prompt.layout import ImageSlot


@dataclass(frozen=True)
class LaidOut:
    """A prompt with a slot for every view, its size in tokens, and the turns before its question that are in it.

    `plan` is what it was laid out from.
    """

    turns: tuple[Turn, ...]
    parts: Sequence[TextSegment | ImageSlot]
    size: PromptSize
    plan: PromptPlan


def lay_out_conversation(
    conversation: Conversation,
    request: Request,
    new: Sequence[NewImage],
    manifest: Manifest,
    model: LanguageModel,
) -> LaidOut:
    """Lay out the turns and the question, which comes with new images.

    Turns are dropped as `shortened` says where the conversation allows it. Raises
    `ContextError` when the prompt is too long all the same, and `PromptError` as `lay_out` does.
    """
    laid_out = lay_out_at_any_length(conversation, request, new, manifest, model)
    require_room(laid_out.size, laid_out.plan, request.max_slices, model)
    return laid_out


def lay_out_at_any_length(
    conversation: Conversation,
    request: Request,
    new: Sequence[NewImage],
    manifest: Manifest,
    model: LanguageModel,
) -> LaidOut:
    """Lay out as `lay_out_conversation` does, what is too long for the context too."""
    turns = conversation.turns
    sizes, videos = [image.image.size for image in new], [image.video for image in new]
    while True:
        messages = [*messages_of(turns), *request.messages(images=len(sizes))]
        seen = [image.layout for turn in turns for image in turn.images]
        plan = PromptPlan(messages, sizes, manifest, request.mode, seen, len(turns), videos)
        parts = plan.layout(request.max_slices)
        size = prompt_size(parts, model)
        fewer = None
        if conversation.drop_oldest:
            fewer = shortened(turns, tokens=size.total, context=model.context, max_tokens=request.max_tokens)
        if fewer is None:
            return LaidOut(turns, parts, size, plan)
        turns = fewer


def stable_length(prompt: PromptTokens, turns: Sequence[Turn], manifest: Manifest, model: LanguageModel) -> int:
    """How many tokens of a prompt the next one will begin with, found by laying that one out.

    `turns` are those of the prompt, its own question answered somehow. A template may write
    what is behind it in another way later: where an answer begins, say.
    """
    images = [image for turn in turns for image in turn.images]
    messages = [*messages_of(turns), user_message("question", images=0)]
    try:
        parts = lay_out(messages, [image.layout for image in images], manifest.prompt)
    except PromptError:
        return 0  # what such a template has against a next question is told when there is one
    return common_length(prompt.ids, prompt_tokens(parts, images, model).ids)
