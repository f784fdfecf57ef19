"""Does the prompt fit into the context? Known from sizes alone, before any image is encoded."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import ContextError, ImageError
from uhd_edge.runtime.prompt.layout import ImageLayout, lay_out_prompt, write_prompt
from uhd_edge.runtime.prompt.messages import TextPart
from uhd_edge.runtime.prompt.template import AS_BY_DEFAULT, TemplateOptions
from uhd_edge.runtime.vision.patches import block_side, tokens_per_view
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.bundles.manifest import Manifest, Vision
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.llm.vocabulary import Vocabulary
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.prompt.layout import ImageSlot, PromptLayout, PromptSize
    from uhd_edge.runtime.prompt.messages import Message
    from uhd_edge.runtime.vision.slicing import SlicePlan


@dataclass(frozen=True)
class PromptInputs:
    """What a prompt is laid out from; known before its images are encoded.

    `slice_plans` are those of the new images. `videos` has the number of the video that each
    of them is a frame of, None for other images. `seen` are the images of the `turns` turns
    before. `options` are what the chat template is told. `stacked` says that a video's frames
    alternate with stacks of frames.
    """

    messages: Sequence[Message]
    manifest: Manifest
    slice_plans: Sequence[SlicePlan]
    videos: Sequence[int | None]
    seen: Sequence[ImageLayout] = ()
    turns: int = 0
    options: TemplateOptions = AS_BY_DEFAULT
    stacked: bool = False

    def new_images(self) -> list[ImageLayout]:
        """Grid and token counts of every new image."""
        new = zip(self.slice_plans, self.videos, strict=True)
        return [image_layout(plan, self.manifest.vision, video) for plan, video in new]

    def write(self) -> list[str | ImageSlot]:
        """Write the prompt as text with a slot for every view; raises `PromptError`."""
        images = [*self.seen, *self.new_images()]
        return write_prompt(self.messages, images, self.manifest.prompt, self.options)

    def lay_out(self, vocabulary: Vocabulary) -> PromptLayout:
        """Lay out the prompt as token ids with a slot for every view; raises `PromptError`."""
        images = [*self.seen, *self.new_images()]
        return lay_out_prompt(self.messages, images, self.manifest.prompt, vocabulary, self.options)

    def replanned(self, *, mode: Mode | None = None, max_slices: int | None = None) -> PromptInputs:
        """Cut the new images in another mode, or into at most `max_slices` slices; raises `ImageError`."""
        plans = [
            plan
            if plan.is_encoded
            else plan_views(
                *plan.image_size,
                self.manifest.preprocessing,
                mode=mode or plan.mode,
                max_slices=max_slices or plan.max_slices,
            )
            for plan in self.slice_plans
        ]
        return replace(self, slice_plans=plans)


def image_layout(plan: SlicePlan, vision: Vision, video: int | None = None) -> ImageLayout:
    """Grid and token counts of an image that will be cut as `plan` says."""
    tokens = tuple(tokens_per_view(rows, columns, vision, mode=plan.mode) for rows, columns in plan.views)
    block = block_side(vision, mode=plan.mode)
    shapes = tuple((rows // block, columns // block) for rows, columns in plan.views)
    return ImageLayout(plan.grid, tokens, video, shapes)


def require_room(size: PromptSize, inputs: PromptInputs, model: LanguageModel) -> None:
    """Raise `ContextError`, with what would help, unless the prompt leaves room for one token of an answer."""
    if size.total < model.context:
        return
    most = ", all that the model was trained for," if model.context == model.trained_context else ""
    # The text has the marks of the slices too, so that with fewer of them more would be left.
    left = model.context - 1 - size.text
    beside = f", {left} of them beside this text" if left > 0 and inputs.slice_plans and not inputs.turns else ""
    raise ContextError(
        f"the prompt needs {size.total} tokens ({size.vision} vision, {size.text} text), but the context of "
        f"{model.context}{most} holds {model.context - 1} beside an answer{beside}; "
        f"{', or '.join(_remedies(size, inputs, model))}"
    )


def _remedies(size: PromptSize, inputs: PromptInputs, model: LanguageModel) -> list[str]:
    """List what would make the prompt fit, each by itself."""
    remedies = []
    slices = _fewer_slices(inputs, model)
    if slices is not None:
        remedies.append(f"use --max-slices {slices}")
    elif len(inputs.slice_plans) > 1:
        remedies.append(_fewer_images(size, inputs, model))
    in_4x = any(plan.mode == "4x" and not plan.is_encoded for plan in inputs.slice_plans)
    if in_4x and "16x" in inputs.manifest.graphs and _fits(inputs, model, mode="16x"):
        remedies.append("use --mode 16x")
    if inputs.turns:
        remedies += ["start a new session", "let it drop its oldest turns (drop_oldest=True, --drop-oldest)"]
    elif not inputs.slice_plans or _words(inputs, model) >= model.context:
        remedies = ["shorten the question"]
    if size.total < model.trained_context:
        remedies.append(f"use --context {size.total + 1} or more")
    return remedies or ["shorten the question"]


def _fewer_images(size: PromptSize, inputs: PromptInputs, model: LanguageModel) -> str:
    """Say how many frames of a single video would fit; a frame has a start token and an end token, a stack too."""
    numbers = {video for video in inputs.videos if video is not None}
    if not numbers:
        return "use fewer images"
    pictures = 2 if inputs.stacked else 1
    frame_tokens = sum(image.tokens[0] + 2 for image in inputs.new_images()[:pictures])
    too_many = math.ceil((size.total - model.context + 1) / frame_tokens)
    frames = math.ceil(inputs.videos.count(max(numbers)) / pictures) - too_many
    return f"use --max-frames {frames}" if len(numbers) == 1 and frames > 0 else "use a shorter video"


def _fewer_slices(inputs: PromptInputs, model: LanguageModel) -> int | None:
    """Most slices per image with which the prompt fits; None when there is no such number."""
    most = max((len(image.tokens) - 1 for image in inputs.new_images()), default=0)
    return next((slices for slices in range(most - 1, 0, -1) if _fits(inputs, model, max_slices=slices)), None)


def _words(inputs: PromptInputs, model: LanguageModel) -> int:
    """Tokens of what the user wrote, without those that come with images."""
    return sum(
        model.count(part.text) for message in inputs.messages for part in message.parts if isinstance(part, TextPart)
    )


def _fits(
    inputs: PromptInputs, model: LanguageModel, *, mode: Mode | None = None, max_slices: int | None = None
) -> bool:
    """Whether the prompt fits when its new images are cut in another way."""
    try:
        replanned = inputs.replanned(mode=mode, max_slices=max_slices)
    except ImageError:
        return False  # an image may be too thin for so few slices
    # Vision tokens are counted first: that is quick, and they alone are often too many.
    if sum(sum(image.tokens) for image in (*replanned.seen, *replanned.new_images())) >= model.context:
        return False
    return replanned.lay_out(model.vocabulary).size.total < model.context
