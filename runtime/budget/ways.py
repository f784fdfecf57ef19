"""The ways to look at a question's images: a mode and a number of slices each, and what each costs by the costs alone.

What a way costs to look is known from the sizes of its views. Its prompt is laid out, which takes
longer, only for a way that may be chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.answer import Plan
from uhd_edge.runtime.conversation.fitting import fit_to_context
from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.vision.encoder import Encoded
from uhd_edge.runtime.vision.patches import tokens_per_view
from uhd_edge.runtime.vision.slicing import most_useful_slices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from uhd_edge.runtime.budget.costs import CostModel
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.turns import Question
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.vision.slicing import SlicePlan


@dataclass(frozen=True)
class Way:
    """One way to look at a question's images: the mode of those that have none of their own, and the most slices.

    `slice_plans` are those of the images. Looking costs `looking_ms`. All costs at least `least_ms`: looking, and
    reading the vision tokens that are not in memory already.
    """

    mode: Mode
    max_slices: int
    slice_plans: Sequence[SlicePlan]
    vision_tokens: int
    looking_ms: float
    least_ms: float

    @property
    def views(self) -> int:
        """Views of all images."""
        return sum(len(plan.views) for plan in self.slice_plans)

    @property
    def resolution(self) -> tuple[int, int]:
        """How much it sees, to compare by: the views, then the vision tokens."""
        return self.views, self.vision_tokens

    def of(self, question: Question) -> Question:
        """The question, to be looked at in this way."""
        return replace(question, request=replace(question.request, mode=self.mode, max_slices=self.max_slices))


@dataclass(frozen=True)
class Plans:
    """Plans of ways to look at one question's images, laid out when they are asked for.

    `in_memory` tokens of the conversation are not read again, unless some of it is dropped.
    """

    question: Question
    costs: Mapping[Mode, CostModel]
    manifest: Manifest
    model: LanguageModel
    in_memory: int = 0

    def ways(self, modes: Sequence[Mode] | None = None) -> list[Way]:
        """List every different way, the one that sees least first.

        The modes are those of the costs, without others than `modes`. They are for the images
        that have none of their own; where every image has one, the first of those is listed alone.
        """
        own: list[Mode] = [image.mode for image in self.question.images if image.mode is not None]
        of_all: list[Mode] = [mode for mode in self.costs if modes is None or mode in modes]
        listed = own[:1] if own and len(own) == len(self.question.images) else of_all
        return sorted((way for mode in listed for way in self._ways_in(mode)), key=lambda way: way.resolution)

    def plan(self, way: Way) -> Plan | None:
        """Lay out the prompt of a way; None if it does not fit into the context. Times are the costs alone."""
        question = way.of(self.question)
        prompt = fit_to_context(question, way.slice_plans, self.manifest, self.model)
        tokens = prompt.size.total
        if tokens >= self.model.context:
            return None
        whole = len(prompt.turns) == len(question.conversation.turns)
        in_memory = min(self.in_memory, tokens) if whole else 0
        milliseconds = way.looking_ms + self.costs[way.mode].prefill(tokens, in_memory)
        patches = sum(rows * columns for plan in way.slice_plans for rows, columns in plan.views)
        return Plan(
            way.mode,
            way.max_slices,
            way.views,
            patches,
            way.vision_tokens,
            tokens,
            predicted_ms=milliseconds,
            upper_ms=milliseconds,
        )

    def _ways_in(self, mode: Mode) -> Iterator[Way]:
        known = set()
        preprocessing = self.manifest.preprocessing
        for max_slices in self._numbers_of_slices():
            try:
                slice_plans = [
                    image.plan_slices(preprocessing, mode=mode, max_slices=max_slices) for image in self.question.images
                ]
            except ImageError:
                continue  # an image is too thin for so few slices, or was encoded in another mode
            views = tuple(plan.views for plan in slice_plans)
            if views in known:
                continue
            known.add(views)
            looking = sum(
                self.costs[plan.mode].looking(plan.image_size, plan.views)
                for plan in slice_plans
                if not plan.is_encoded
            )
            tokens = sum(
                tokens_per_view(rows, columns, self.manifest.vision, mode=plan.mode)
                for plan in slice_plans
                for rows, columns in plan.views
            )
            reading = self.costs[mode].prefill(max(tokens, self.in_memory), self.in_memory)
            yield Way(mode, max_slices, slice_plans, tokens, looking, looking + reading)

    def _numbers_of_slices(self) -> range:
        """Every `max_slices` that may make a difference for these images."""
        preprocessing, limit = self.manifest.preprocessing, self.question.request.max_slices
        most = preprocessing.max_slices if limit is None else limit
        sizes = [new.image.size for new in self.question.images if not isinstance(new.image, Encoded)]
        useful = max((most_useful_slices(*size, preprocessing) for size in sizes), default=1)
        return range(1, min(most, useful) + 1)
