"""A laid-out prompt is read by the language model, from where it differs from what was read before."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from uhd_edge.runtime.conversation.fitting import stable_length
from uhd_edge.runtime.conversation.prompt_tokens import fill_prompt
from uhd_edge.runtime.conversation.turns import Turn, list_messages
from uhd_edge.runtime.generation.writing import WrittenAnswer
from uhd_edge.runtime.prompt.messages import Message, TextPart
from uhd_edge.runtime.timing import Stopwatch, timed

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from uhd_edge.runtime.answering import OpenModels
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.fitting import FittedPrompt
    from uhd_edge.runtime.conversation.turns import Question, SeenImage
    from uhd_edge.runtime.prompt.messages import ToolResult

# Stands for an answer that is not known yet.
ANY_ANSWER = WrittenAnswer("answer", "", (), "stop", 0, 0)


def read_prompt(
    question: Question, prompt: FittedPrompt, seen: Sequence[SeenImage], models: OpenModels, watch: Stopwatch
) -> Generator[str, None, int]:
    """Read the prompt, and return how many of its tokens were in memory; a question by itself has none there."""
    conversation, model = question.conversation, models.language_model
    is_alone = not conversation.goes_on and models.known_images is None
    with timed(watch.stages, "prompt"):
        images = [*prompt.seen_images, *seen]
        tokens = fill_prompt(prompt.layout, images, model)
        stable = len(tokens.ids)
        if model.is_recurrent and not is_alone:
            answered = _answered(prompt, question, seen, models.manifest)
            options = question.request.template_options
            stable = stable_length(tokens, answered, images, options, (models.manifest, model))
    with timed(watch.stages, "prefill"):
        if conversation.goes_on:
            return (yield from models.memory.read(tokens, owner=conversation, stable_prefix=stable))
        if not is_alone:
            return (yield from models.memory.read_like_before(tokens, stable_prefix=stable))
        yield from models.memory.read_alone(tokens)
        return 0


def turn_of(question: Question, seen: Sequence[SeenImage], written: WrittenAnswer, manifest: Manifest) -> Turn:
    """Make a turn of a question and its answer, which is stripped of image placeholders."""
    request, placeholder = question.request, manifest.prompt.tokens.image
    return Turn(
        request.question if isinstance(request.question, str) else "",
        written.text.replace(placeholder, ""),
        tuple(seen),
        written.thinking.replace(placeholder, ""),
        written.tool_calls,
        cast("tuple[ToolResult, ...]", request.question) if request.gives_results else (),
    )


def _answered(prompt: FittedPrompt, question: Question, seen: Sequence[SeenImage], manifest: Manifest) -> list[Message]:
    """The messages of a prompt, with any answer to its question."""
    if question.conversation.goes_on:
        return list(list_messages((*prompt.turns, turn_of(question, seen, ANY_ANSWER, manifest))))
    messages = list(prompt.inputs.messages)
    if messages[-1].role == "assistant":  # the beginning of the answer
        return messages
    return [*messages, Message("assistant", (TextPart(ANY_ANSWER.text),))]
