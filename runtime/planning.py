"""Which mode and how many slices: the choices for a question about images, and the best one within a time.

The paper calls its encoding compute-controllable; mode and slices are the control. Of the
choices that keep within the time the one with the most views wins, so that the pictures are
seen at the highest resolution, and among those the one with the most tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.budget import PromptPlan, prompt_size
from uhd_edge.runtime.costs import Work
from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.slicing import plan_views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from uhd_edge.runtime.bundle import Manifest, Mode
    from uhd_edge.runtime.costs import CostModel
    from uhd_edge.runtime.llm import LanguageModel
    from uhd_edge.runtime.prompt import Message


@dataclass(frozen=True)
class Plan:
    """One way to look at the images of a question.

    `views` and `patches` are those of all images, `prompt_tokens` include `vision_tokens`.
    `predicted_ms` is the time from the question to the first token. `within_budget` is
    None when there is no budget.
    """

    mode: Mode
    max_slices: int
    views: int
    patches: int
    vision_tokens: int
    prompt_tokens: int
    predicted_ms: float
    within_budget: bool | None = None


@dataclass(frozen=True)
class Asked:
    """A conversation about images of these (width, height), and in which modes and how finely they may be seen."""

    messages: Sequence[Message]
    sizes: Sequence[tuple[int, int]]
    modes: Sequence[Mode]
    max_slices: int


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
    prompt = PromptPlan(asked.messages, asked.sizes, manifest, mode)
    seen = set()
    for max_slices in range(1, asked.max_slices + 1):
        try:
            views = [
                plan_views(width, height, manifest.preprocessing, mode=mode, max_slices=max_slices).views
                for width, height in asked.sizes
            ]
        except ImageError:
            continue  # cut into so few slices the image is too thin
        if tuple(views) in seen:
            continue
        seen.add(tuple(views))
        size = prompt_size(prompt.layout(max_slices), model)
        if size.total >= model.context:
            continue
        yield Plan(
            mode,
            max_slices,
            sum(map(len, views)),
            sum(rows * columns for image in views for rows, columns in image),
            size.vision,
            size.total,
            costs.milliseconds(Work(asked.sizes, views, size.total)),
        )
