"""Does the prompt fit into the context? Known from sizes alone, before any image is encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import ContextError
from uhd_edge.runtime.patches import tokens_per_view
from uhd_edge.runtime.prompt import ImageLayout, ImageSlot, lay_out
from uhd_edge.runtime.slicing import plan_slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.bundle import Manifest, Mode
    from uhd_edge.runtime.llm import LanguageModel
    from uhd_edge.runtime.prompt import Message, TextSegment


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
    """A conversation and the (width, height) of its images: enough to lay out and to count the prompt."""

    messages: Sequence[Message]
    sizes: Sequence[tuple[int, int]]
    manifest: Manifest
    mode: Mode

    def image_layouts(self, max_slices: int | None) -> list[ImageLayout]:
        """Grid and token counts of every image when at most `max_slices` slices are cut."""
        return [self._image_layout(width, height, max_slices) for width, height in self.sizes]

    def layout(self, max_slices: int | None) -> list[TextSegment | ImageSlot]:
        """Lay the prompt out with a slot for every view."""
        return lay_out(self.messages, self.image_layouts(max_slices), self.manifest.prompt)

    def _image_layout(self, width: int, height: int, max_slices: int | None) -> ImageLayout:
        plan = plan_slices(width, height, self.manifest.preprocessing, mode=self.mode, max_slices=max_slices)
        vision = self.manifest.vision
        return ImageLayout(
            plan.grid, tuple(tokens_per_view(rows, columns, vision, mode=self.mode) for rows, columns in plan.views)
        )


def prompt_size(layout: Sequence[TextSegment | ImageSlot], model: LanguageModel) -> PromptSize:
    """Count the tokens of a laid-out prompt."""
    vision = sum(part.tokens for part in layout if isinstance(part, ImageSlot))
    text = sum(model.count(part.text) for part in layout if not isinstance(part, ImageSlot))
    return PromptSize(vision, text)


def require_room(size: PromptSize, plan: PromptPlan, max_slices: int | None, model: LanguageModel) -> None:
    """Raise `ContextError`, with what would help, unless the prompt leaves room for a token of an answer."""
    if size.total < model.context:
        return
    remedies = [*_fewer_slices(plan, max_slices, model), *_more_context(size, model)]
    raise ContextError(
        f"the prompt has {size.total} tokens ({size.vision} vision, {size.text} text), but the context of "
        f"{model.context} holds {model.context - 1} beside an answer; {', or '.join(remedies)}"
    )


def _fewer_slices(plan: PromptPlan, max_slices: int | None, model: LanguageModel) -> list[str]:
    if not plan.sizes:
        return ["shorten the question"]
    most = max(len(layout.tokens) - 1 for layout in plan.image_layouts(max_slices))
    for slices in range(most - 1, 0, -1):
        # Vision tokens are counted first: it is quick, and mostly they alone are too many.
        vision = sum(sum(layout.tokens) for layout in plan.image_layouts(slices))
        if vision < model.context and prompt_size(plan.layout(slices), model).total < model.context:
            return [f"use --max-slices {slices}"]
    return ["use fewer images" if len(plan.sizes) > 1 else "no --max-slices is small enough"]


def _more_context(size: PromptSize, model: LanguageModel) -> list[str]:
    if size.total < model.trained_context:
        return [f"use --context {size.total + 1} or more"]
    return [f"the model was trained for {model.trained_context} tokens and no more"]
