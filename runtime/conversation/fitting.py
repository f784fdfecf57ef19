"""A conversation and its next question are laid out, and shortened to fit, before images are encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.runtime.conversation.prompt_tokens import common_length, number_tokens
from uhd_edge.runtime.conversation.turns import list_messages, shortened
from uhd_edge.runtime.errors import PromptError
from uhd_edge.runtime.prompt.layout import lay_out_prompt
from uhd_edge.runtime.prompt.messages import user_message
from uhd_edge.runtime.prompt.room import PromptInputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.prompt_tokens import PromptTokens
    from uhd_edge.runtime.conversation.turns import Question, SeenImage, Turn
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.prompt.layout import PromptLayout, PromptSize
    from uhd_edge.runtime.prompt.messages import Message
    from uhd_edge.runtime.prompt.template import TemplateOptions
    from uhd_edge.runtime.vision.slicing import SlicePlan


@dataclass(frozen=True)
class FittedPrompt:
    """A prompt and the turns before its question that are in it; `inputs` is what it was laid out from."""

    turns: tuple[Turn, ...]
    inputs: PromptInputs
    layout: PromptLayout

    @property
    def size(self) -> PromptSize:
        """Its tokens."""
        return self.layout.size

    @property
    def seen_images(self) -> list[SeenImage]:
        """The images of its turns."""
        return [image for turn in self.turns for image in turn.images]


def fit_to_context(
    question: Question, slice_plans: Sequence[SlicePlan], manifest: Manifest, model: LanguageModel
) -> FittedPrompt:
    """Lay out the turns and the question, whose images are cut as `slice_plans` say.

    Turns are dropped as `shortened` says where the conversation allows it. The prompt may
    still be too long, see `require_room`. Raises `PromptError` as `write_prompt` does.
    """
    conversation, request = question.conversation, question.request
    turns = conversation.turns
    videos = [image.video for image in question.images]
    while True:
        messages = [*list_messages(turns), *request.messages(images=len(question.images))]
        seen = [image.layout for turn in turns for image in turn.images]
        inputs = PromptInputs(
            messages,
            manifest,
            slice_plans,
            videos,
            seen,
            len(turns),
            options=request.template_options,
            stacked=any(image.stacked for image in question.images),
        )
        prompt = FittedPrompt(turns, inputs, inputs.lay_out(model.vocabulary))
        fewer = None
        if conversation.drop_oldest:
            tokens = prompt.size.total
            fewer = shortened(
                turns,
                tokens=tokens,
                context=model.context,
                max_tokens=request.max_tokens,
                keep_last=request.gives_results,
            )
        if fewer is None:
            return prompt
        turns = fewer


def stable_length(
    prompt: PromptTokens,
    messages: Sequence[Message],
    images: Sequence[SeenImage],
    options: TemplateOptions,
    models: tuple[Manifest, LanguageModel],
) -> int:
    """Return how many tokens of a prompt the next prompt will begin with, found by laying that one out.

    `messages` are those of the prompt, with a placeholder answer to its question, and `images` theirs. A
    template may write the end of a prompt differently later, such as where an answer begins. `options` are
    what it is told for this prompt, and probably for the next one.
    """
    manifest, model = models
    messages = [*messages, user_message("question", images=0)]
    try:
        layouts = [image.layout for image in images]
        layout = lay_out_prompt(messages, layouts, manifest.prompt, model.vocabulary, options)
    except PromptError:
        return 0  # the template refuses a next question; the user is told when there is one
    return common_length(prompt.ids, number_tokens(layout, images))
