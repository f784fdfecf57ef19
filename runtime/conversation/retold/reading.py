"""A laid-out prompt is read by the language model, from where it differs from what was read before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from uhd_edge.runtime.conversation.fitting import stable_length
from uhd_edge.runtime.conversation.turns import Turn, list_messages
from uhd_edge.runtime.prompt.messages import Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.fitting import FittedPrompt
    from uhd_edge.runtime.conversation.prompt_memory import PromptMemory
    from uhd_edge.runtime.conversation.prompt_tokens import PromptTokens
    from uhd_edge.runtime.conversation.turns import Question, SeenImage
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.prompt.messages import ToolResult

# Stands for an answer that is not known yet.
ANY_ANSWER = "answer"


@dataclass(frozen=True)
class Reader:
    """A place of the language model and its memory; `keeps_prompts` if questions there may go on from each other."""

    manifest: Manifest
    model: LanguageModel
    memory: PromptMemory
    keeps_prompts: bool

    def stable_length(
        self, question: Question, prompt: FittedPrompt, tokens: PromptTokens, images: Sequence[SeenImage]
    ) -> int:
        """How many of a prompt's tokens the next one of its conversation will begin with."""
        if not self.model.is_recurrent or not (question.conversation.goes_on or self.keeps_prompts):
            return len(tokens.ids)
        answered = _answered(prompt, question, images)
        options = question.request.template_options
        return stable_length(tokens, answered, images, options, (self.manifest, self.model))

    def read(self, question: Question, tokens: PromptTokens, stable: int) -> Generator[str, None, int]:
        """Read a prompt in steps, and return how many of its tokens were in memory; one by itself has none there."""
        conversation = question.conversation
        if conversation.goes_on:
            return (yield from self.memory.read(tokens, owner=conversation, stable_prefix=stable))
        if self.keeps_prompts:
            return (yield from self.memory.read_like_before(tokens, stable_prefix=stable))
        yield from self.memory.read_alone(tokens)
        return 0


def asked_turn(question: Question, seen: Sequence[SeenImage]) -> Turn:
    """Make a turn of a question, with any answer."""
    request = question.request
    return Turn(
        request.question if isinstance(request.question, str) else "",
        ANY_ANSWER,
        tuple(seen),
        results=cast("tuple[ToolResult, ...]", request.question) if request.gives_results else (),
    )


def _answered(prompt: FittedPrompt, question: Question, images: Sequence[SeenImage]) -> list[Message]:
    """The messages of a prompt, with any answer to its question."""
    if question.conversation.goes_on:
        seen = images[len(prompt.seen_images) :]
        return list(list_messages((*prompt.turns, asked_turn(question, seen))))
    messages = list(prompt.inputs.messages)
    if messages[-1].role == "assistant":  # the beginning of the answer
        return messages
    return [*messages, Message("assistant", (TextPart(ANY_ANSWER),))]
