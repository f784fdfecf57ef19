"""Which mode and how many slices: the choices for a question about images, and the best one within a time.

The paper calls its encoding compute-controllable; mode and slices are the control. Of the
choices that keep within the time the one with the most views wins, so that the pictures are
seen at the highest resolution, and among those the one with the most tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.answer import Plan
from uhd_edge.runtime.budget.costs import Work
from uhd_edge.runtime.conversation.fitting import lay_out_at_any_length
from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.vision.slicing import most_useful_slices, plan_views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from uhd_edge.runtime.budget.costs import CostModel
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.fitting import LaidOut
    from uhd_edge.runtime.conversation.request import Request
    from uhd_edge.runtime.conversation.turns import Conversation, NewImage
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.modes import Mode

Views = list[tuple[tuple[int, int], ...]]


@dataclass(frozen=True)
class Asked:
    """A question with its new images at the end of a conversation, and in which modes and how finely to see them.

    `in_memory` tokens of the conversation need not be read again as long as none of it is dropped.
    """

    conversation: Conversation
    request: Request
    new: Sequence[NewImage]
    modes: Sequence[Mode]
    max_slices: int
    in_memory: int = 0

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(width, height) of every new image."""
        return [new.image.size for new in self.new]


def list_plans(
    asked: Asked,
    manifest: Manifest,
    model: LanguageModel,
    costs: Callable[[Mode], CostModel],
    *,
    budget_ms: float | None = None,
    spent: Callable[[], float] = lambda: 0.0,
) -> list[Plan]:
    """List every different way to look at the images that fits into the context, the least work first.

    `costs` gives a mode's, `spent` tells the milliseconds that the question has taken already,
    planning included.
    """
    plans = [plan for mode in asked.modes for plan in _plans_in(mode, asked, manifest, model, costs(mode))]
    spent_ms = spent()
    return [_counted(plan, spent_ms, budget_ms) for plan in sorted(plans, key=_worth)]


def choose_plan(plans: Sequence[Plan]) -> Plan | None:
    """Pick the plan that sees most within the budget, else the quickest; None when there is none at all."""
    fitting = [plan for plan in plans if plan.within_budget is not False]
    if fitting:
        return max(fitting, key=_worth)
    return min(plans, key=lambda plan: plan.predicted_ms, default=None)


def _counted(plan: Plan, spent_ms: float, budget_ms: float | None) -> Plan:
    """The plan with what was spent before, beside the budget."""
    predicted = spent_ms + plan.predicted_ms
    return replace(plan, predicted_ms=predicted, within_budget=None if budget_ms is None else predicted <= budget_ms)


def _worth(plan: Plan) -> tuple[int, int]:
    return plan.views, plan.vision_tokens


def _plans_in(
    mode: Mode,
    asked: Asked,
    manifest: Manifest,
    model: LanguageModel,
    costs: CostModel,
) -> Iterator[Plan]:
    seen = set()
    for max_slices, views in _ways_to_cut(mode, asked, manifest):
        if tuple(views) in seen:
            continue
        seen.add(tuple(views))
        request = replace(asked.request, mode=mode, max_slices=max_slices)
        laid_out = lay_out_at_any_length(asked.conversation, request, asked.new, manifest, model)
        if laid_out.size.total < model.context:
            yield _plan(request, views, laid_out, asked, costs)


def _ways_to_cut(mode: Mode, asked: Asked, manifest: Manifest) -> Iterator[tuple[int, Views]]:
    """Every number of slices that may make a difference, with the views of every image."""
    sizes, preprocessing = asked.sizes, manifest.preprocessing
    useful = max((most_useful_slices(*size, preprocessing) for size in sizes), default=1)
    for max_slices in range(1, min(asked.max_slices, useful) + 1):
        try:
            yield (
                max_slices,
                [plan_views(*size, preprocessing, mode=mode, max_slices=max_slices).views for size in sizes],
            )
        except ImageError:
            continue  # cut into so few slices the image is too thin


def _plan(request: Request, views: Views, laid_out: LaidOut, asked: Asked, costs: CostModel) -> Plan:
    tokens = laid_out.size.total
    whole = len(laid_out.turns) == len(asked.conversation.turns)
    layouts = laid_out.plan.image_layouts(request.max_slices)[len(laid_out.plan.seen) :]
    return Plan(
        request.mode,
        request.max_slices or 1,
        sum(map(len, views)),
        sum(rows * columns for image in views for rows, columns in image),
        sum(sum(layout.tokens) for layout in layouts),
        tokens,
        costs.milliseconds(Work(asked.sizes, views, tokens, min(asked.in_memory, tokens) if whole else 0)),
    )
