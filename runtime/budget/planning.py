"""Which mode and how many slices: the choices for a question about images, and the best one within a time.

The paper calls its encoding compute-controllable; mode and slices are the controls. Of the
choices within the time the one with the most views wins, because it sees the images at the
highest resolution; among equals the one with the most tokens. A choice is within the time if
95 of 100 such questions are, or as many as were asked for; see `spread.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.answer import Plan
from uhd_edge.runtime.conversation.fitting import fit_to_context
from uhd_edge.runtime.conversation.request import DEFAULT_SHARE
from uhd_edge.runtime.errors import EngineUnavailableError, ImageError
from uhd_edge.runtime.vision.encoder import Encoded
from uhd_edge.runtime.vision.slicing import most_useful_slices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from uhd_edge.runtime.budget.cost_book import CostBook
    from uhd_edge.runtime.budget.costs import CostModel
    from uhd_edge.runtime.budget.spread import Spread
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.fitting import FittedPrompt
    from uhd_edge.runtime.conversation.request import Budget, Request
    from uhd_edge.runtime.conversation.turns import Question
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.modes import Mode


@dataclass(frozen=True)
class Choice:
    """A question whose mode and slices are set, and why: the plan, None where nothing was to choose.

    `spent_ms` had passed when the choice was made. By the costs alone, `work_ms` were to come,
    `encoding_ms` of them for encoding views.
    """

    question: Question
    plan: Plan | None = None
    spent_ms: float = 0.0
    work_ms: float = 0.0
    encoding_ms: float = 0.0


@dataclass(frozen=True)
class Planner:
    """Plans for one bundle, language model and cost book."""

    manifest: Manifest
    model: LanguageModel
    book: CostBook

    def measure(self, modes: Sequence[Mode], progress: Callable[[str], None] = lambda _: None) -> dict[Mode, CostModel]:
        """Return the costs of those of `modes` that can run here, measured where they are not known yet.

        Raises `EngineUnavailableError` when none can run; see `CostBook.costs` for the rest.
        """
        costs: dict[Mode, CostModel] = {}
        for mode in modes:
            try:
                costs[mode] = self.book.costs(mode, progress, self.model)
            except EngineUnavailableError:
                if mode == modes[-1] and not costs:
                    raise
        return costs

    def plans(
        self,
        question: Question,
        modes: Sequence[Mode],
        *,
        in_memory: int = 0,
        spent: Callable[[], float] = lambda: 0.0,
    ) -> list[Plan]:
        """List the ways to look at the question's images in `modes`, see `list_plans`."""
        costs = self._costs(question, modes)
        plans = list_plans(question, costs, self.manifest, self.model, modes=modes, in_memory=in_memory)
        return count_time(plans, spent(), question.request.budget, self.book.spread)

    def choose(self, question: Question, *, in_memory: int, spent: Callable[[], float]) -> Choice:
        """Set mode and slices of a question so that it keeps its budget.

        Without a budget, or when nothing fits into the context, the question stays as it is.
        """
        budget = question.request.budget
        if budget is None:
            return Choice(question)
        costs = self._costs(question, budget.modes)
        plans = list_plans(question, costs, self.manifest, self.model, modes=budget.modes, in_memory=in_memory)
        spent_ms, spread = spent(), self.book.spread
        plan = choose_plan(count_time(plans, spent_ms, budget, spread))
        if plan is None:
            return Choice(question)
        request = replace(question.request, mode=plan.mode, max_slices=plan.max_slices)
        chosen = replace(question, request=request)
        to_encode = [one for one in chosen.plan_slices(self.manifest.preprocessing) if not one.is_encoded]
        work_ms = (plan.predicted_ms - spent_ms) / spread.usual()
        encoding_ms = sum(costs[one.mode].encoding(one.views) for one in to_encode)
        return Choice(chosen, plan, spent_ms, work_ms, encoding_ms)

    def _costs(self, question: Question, modes: Sequence[Mode]) -> dict[Mode, CostModel]:
        """The costs of `modes`, and of the modes that images have of their own, which must run here."""
        costs = self.measure(modes)
        for image in question.images:
            if image.mode is not None:
                costs[image.mode] = self.book.costs(image.mode, model=self.model)
        return costs

    def learn(self, choice: Choice, first_token_ms: float, *, encoded: float = 1.0) -> None:
        """Note how long the question of a choice took to its first token; 0 is one that had none.

        `encoded` is the share of its views, from 0 to 1, that were not in the cache after all. A
        question that has less to do than half a view takes is not counted: most of its time is
        in what the costs leave out.
        """
        if choice.plan is None or first_token_ms <= choice.spent_ms:
            return
        expected = choice.work_ms - (1 - encoded) * choice.encoding_ms
        side = self.manifest.preprocessing.scale_resolution // self.manifest.preprocessing.patch_size
        if expected > self.book.costs(choice.plan.mode).encoding([(side, max(1, side // 2))]):
            self.book.learn(choice.plan.mode, (first_token_ms - choice.spent_ms) / expected)


def list_plans(
    question: Question,
    costs: Mapping[Mode, CostModel],
    manifest: Manifest,
    model: LanguageModel,
    *,
    modes: Sequence[Mode] | None = None,
    in_memory: int = 0,
) -> list[Plan]:
    """List every different way to look at the images that fits into the context, the least work first.

    The modes are those of `costs`, without others than `modes`. They are for the images that have
    none of their own; where every image has one, the first of those is listed alone. `in_memory`
    tokens of the conversation are not read again, unless some of it is dropped. Times are the costs
    alone, from when the plan is chosen.
    """
    plans: list[Plan] = []
    own = [image.mode for image in question.images if image.mode is not None]
    listed = own[:1] if own and len(own) == len(question.images) else [m for m in costs if modes is None or m in modes]
    for mode in listed:
        in_mode = replace(question, request=replace(question.request, mode=mode))
        plans += _plans_in_mode(in_mode, costs, manifest, model, in_memory)
    return sorted(plans, key=_resolution)


def count_time(plans: Sequence[Plan], spent_ms: float, budget: Budget | None, spread: Spread) -> list[Plan]:
    """Make times of the costs of plans: with the time that was spent before, and as `spread` says; see `Plan`."""
    usual, upper = spread.usual(), spread.upper(DEFAULT_SHARE if budget is None else budget.share)
    counted = [
        replace(plan, predicted_ms=spent_ms + usual * plan.predicted_ms, upper_ms=spent_ms + upper * plan.predicted_ms)
        for plan in plans
    ]
    if budget is None:
        return counted
    limit = budget.milliseconds
    return [
        replace(plan, within_budget=plan.upper_ms <= limit, too_noisy=plan.predicted_ms <= limit < plan.upper_ms)
        for plan in counted
    ]


def choose_plan(plans: Sequence[Plan]) -> Plan | None:
    """Pick the plan that sees most within the budget, else the quickest; None when there is none at all."""
    within = [plan for plan in plans if plan.within_budget is not False]
    if within:
        return max(within, key=_resolution)
    return min(plans, key=lambda plan: plan.predicted_ms, default=None)


def _resolution(plan: Plan) -> tuple[int, int]:
    return plan.views, plan.vision_tokens


def _plans_in_mode(
    question: Question, costs: Mapping[Mode, CostModel], manifest: Manifest, model: LanguageModel, in_memory: int
) -> Iterator[Plan]:
    known = set()
    for max_slices in _numbers_of_slices(question, manifest):
        request = replace(question.request, max_slices=max_slices)
        try:
            slice_plans = replace(question, request=request).plan_slices(manifest.preprocessing)
        except ImageError:
            continue  # an image is too thin for so few slices, or was encoded in another mode
        views = tuple(plan.views for plan in slice_plans)
        if views in known:
            continue
        known.add(views)
        prompt = fit_to_context(question, slice_plans, manifest, model)
        if prompt.size.total < model.context:
            whole = len(prompt.turns) == len(question.conversation.turns)
            yield _plan(request, prompt, costs, in_memory if whole else 0)


def _numbers_of_slices(question: Question, manifest: Manifest) -> range:
    """Every `max_slices` that may make a difference for these images."""
    preprocessing, limit = manifest.preprocessing, question.request.max_slices
    most = preprocessing.max_slices if limit is None else limit
    sizes = [new.image.size for new in question.images if not isinstance(new.image, Encoded)]
    useful = max((most_useful_slices(*size, preprocessing) for size in sizes), default=1)
    return range(1, min(most, useful) + 1)


def _plan(request: Request, prompt: FittedPrompt, costs: Mapping[Mode, CostModel], in_memory: int) -> Plan:
    tokens, slice_plans = prompt.size.total, prompt.inputs.slice_plans
    views = [plan.views for plan in slice_plans]
    milliseconds = costs[request.mode].prefill(tokens, min(in_memory, tokens))
    for plan in slice_plans:
        if not plan.is_encoded:
            milliseconds += costs[plan.mode].looking(plan.image_size, plan.views)
    return Plan(
        request.mode,
        request.max_slices or 1,
        sum(map(len, views)),
        sum(rows * columns for image in views for rows, columns in image),
        sum(sum(image.tokens) for image in prompt.inputs.new_images()),
        tokens,
        predicted_ms=milliseconds,
        upper_ms=milliseconds,
    )
