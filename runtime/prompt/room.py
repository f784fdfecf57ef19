"""Does the prompt fit into the context? Known from sizes alone, before any image is encoded."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import ContextError, ImageError
from uhd_edge.runtime.prompt.layout import ImageLayout, ImageSlot, TextPart, lay_out
from uhd_edge.runtime.vision.patches import tokens_per_view
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.llm.segments import TextSegment
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.prompt.layout import Message


@dataclass(frozen=True)
class PromptSize:
    """Tokens of a prompt."""

    vision: int
    text: int

    @property
    def total(self) -> int:
        """Vision and text together."""
        return self.vision + self.text


@dataclass(frozen=True)
class PromptPlan:
    """A conversation and the (width, height) of its images: enough to lay out and to count the prompt.

    `seen` are images before those that have been encoded already, `turns` counts what a
    session's question comes after. `videos` are the numbers of the videos that the images are
    frames of, None for the others.
    """

    messages: Sequence[Message]
    sizes: Sequence[tuple[int, int]]
    manifest: Manifest
    mode: Mode
    seen: Sequence[ImageLayout] = ()
    turns: int = 0
    videos: Sequence[int | None] = ()

    def image_layouts(self, max_slices: int | None) -> list[ImageLayout]:
        """Grid and token counts of every image in at most `max_slices` slices; `ImageError` for one too thin."""
        videos = self.videos or [None] * len(self.sizes)
        new = zip(self.sizes, videos, strict=True)
        return [*self.seen, *(self._image_layout(size, max_slices, video) for size, video in new)]

    def layout(self, max_slices: int | None) -> list[TextSegment | ImageSlot]:
        """Lay the prompt out with a slot for every view."""
        return lay_out(self.messages, self.image_layouts(max_slices), self.manifest.prompt)

    def _image_layout(self, size: tuple[int, int], max_slices: int | None, video: int | None) -> ImageLayout:
        plan = plan_views(*size, self.manifest.preprocessing, mode=self.mode, max_slices=max_slices)
        vision = self.manifest.vision
        tokens = tuple(tokens_per_view(rows, columns, vision, mode=self.mode) for rows, columns in plan.views)
        return ImageLayout(plan.grid, tokens, video)


def prompt_size(layout: Sequence[TextSegment | ImageSlot], model: LanguageModel) -> PromptSize:
    """Count the tokens of a laid-out prompt."""
    vision = sum(part.tokens for part in layout if isinstance(part, ImageSlot))
    text = sum(model.count(part.text) for part in layout if not isinstance(part, ImageSlot))
    return PromptSize(vision, text)


def require_room(size: PromptSize, plan: PromptPlan, max_slices: int | None, model: LanguageModel) -> None:
    """Raise `ContextError`, with what would help, unless the prompt leaves room for a token of an answer."""
    if size.total < model.context:
        return
    most = ", all that the model was trained for," if model.context == model.trained_context else ""
    fitting = max(model.context - 1 - size.text, 0)
    vision = f", of which {fitting} may be vision tokens" if plan.sizes and not plan.turns else ""
    raise ContextError(
        f"the prompt needs {size.total} tokens ({size.vision} vision, {size.text} text), but the context of "
        f"{model.context}{most} holds {model.context - 1} beside an answer{vision}; "
        f"{', or '.join(_remedies(size, plan, max_slices, model))}"
    )


def _remedies(size: PromptSize, plan: PromptPlan, max_slices: int | None, model: LanguageModel) -> list[str]:
    """What would make the prompt fit, each by itself."""
    remedies = []
    slices = _fewer_slices(plan, max_slices, model)
    if slices is not None:
        remedies.append(f"use --max-slices {slices}")
    elif len(plan.sizes) > 1:
        remedies.append(_fewer_images(size, plan, model))
    if plan.mode == "4x" and "16x" in plan.manifest.graphs and _fits(replace(plan, mode="16x"), max_slices, model):
        remedies.append("use --mode 16x")
    if plan.turns:
        remedies += ["start a new session", "let it drop its oldest turns (drop_oldest=True, --drop-oldest)"]
    elif not plan.sizes or _words(plan, model) >= model.context:
        remedies = ["shorten the question"]
    if size.total < model.trained_context:
        remedies.append(f"use --context {size.total + 1} or more")
    return remedies or ["shorten the question"]


def _fewer_images(size: PromptSize, plan: PromptPlan, model: LanguageModel) -> str:
    """Of one video so many frames would fit, each of which has a token at its begin and one at its end."""
    numbers = {video for video in plan.videos if video is not None}
    if not numbers:
        return "use fewer images"
    of_frame = plan.image_layouts(1)[-1].tokens[0] + 2
    too_many = math.ceil((size.total - model.context + 1) / of_frame)
    frames = plan.videos.count(max(numbers)) - too_many
    return f"use --max-frames {frames}" if len(numbers) == 1 and frames > 0 else "use a shorter video"


def _fewer_slices(plan: PromptPlan, max_slices: int | None, model: LanguageModel) -> int | None:
    """Most slices per image with which the prompt fits; None when there is no such number."""
    most = max((len(layout.tokens) - 1 for layout in plan.image_layouts(max_slices)), default=0)
    return next((slices for slices in range(most - 1, 0, -1) if _fits(plan, slices, model)), None)


def _words(plan: PromptPlan, model: LanguageModel) -> int:
    """Tokens of what the user wrote, without those that come with images."""
    return sum(
        model.count(part.text) for message in plan.messages for part in message.parts if isinstance(part, TextPart)
    )


def _fits(plan: PromptPlan, max_slices: int | None, model: LanguageModel) -> bool:
    try:
        layouts = plan.image_layouts(max_slices)
    except ImageError:
        return False  # in so few slices an image may be too thin
    # Vision tokens are counted first: it is quick, and mostly they alone are too many.
    if sum(sum(layout.tokens) for layout in layouts) >= model.context:
        return False
    return prompt_size(plan.layout(max_slices), model).total < model.context
