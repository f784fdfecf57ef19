"""Which mode and how many slices: the choices for a question about images, and the best one within a time.

The paper calls its encoding compute-controllable; mode and slices are the controls. Of the
choices within the time the one with the most views wins, because it sees the images at the
highest resolution; among equals the one with the most tokens. A choice is within the time if
95 of 100 such questions are, or as many as were asked for; see `spread.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.runtime.budget.choosing import Expected, choose_way, count_time, resolution
from uhd_edge.runtime.budget.ways import Plans
from uhd_edge.runtime.errors import EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from uhd_edge.runtime.answer import Plan
    from uhd_edge.runtime.budget.cost_book import CostBook
    from uhd_edge.runtime.budget.costs import CostModel
    from uhd_edge.runtime.bundles.manifest import Manifest
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
        plans = Plans(question, costs, self.manifest, self.model, in_memory)
        ways = plans.ways(budget.modes)
        chosen = choose_way(plans, ways, Expected.of(spent(), budget, self.book.spread), spent)
        if chosen is None:
            return Choice(question)
        new = [one for one in chosen.way.slice_plans if not one.is_encoded]
        encoding_ms = sum(costs[one.mode].encoding(one.views) for one in new)
        return Choice(chosen.way.of(question), chosen.plan, chosen.spent_ms, chosen.work_ms, encoding_ms)

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
    plans = Plans(question, costs, manifest, model, in_memory)
    laid_out = (plans.plan(way) for way in plans.ways(modes))
    return sorted((plan for plan in laid_out if plan is not None), key=resolution)
