"""The plans of an open assistant: what its questions may be answered with, given what this machine has shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.answer import Plan
from uhd_edge.runtime.budget.planning import Asked, choose_plan, list_plans
from uhd_edge.runtime.conversation.turns import Conversation
from uhd_edge.runtime.errors import EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from uhd_edge.runtime.budget.cost_book import CostBook
    from uhd_edge.runtime.budget.costs import CostModel
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.request import Request
    from uhd_edge.runtime.conversation.turns import NewImage
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.modes import Mode


@dataclass(frozen=True)
class Planner:
    """Plans for one bundle, language model and cost book."""

    manifest: Manifest
    model: LanguageModel
    book: CostBook

    def learn(self, modes: Sequence[Mode], progress: Callable[[str], None] = lambda _: None) -> dict[Mode, CostModel]:
        """Return the costs of those of `modes` that can run here; measures what was never measured.

        Raises `EngineUnavailableError` when none can, see `CostBook.costs` for the rest.
        """
        costs: dict[Mode, CostModel] = {}
        for mode in modes:
            try:
                costs[mode] = self.book.costs(mode, progress)
            except EngineUnavailableError:
                if mode == modes[-1] and not costs:
                    raise
        return costs

    def plans(
        self,
        request: Request,
        new: Sequence[NewImage],
        modes: Sequence[Mode],
        *,
        conversation: Conversation | None = None,
        in_memory: int = 0,
        spent: Callable[[], float] = lambda: 0.0,
    ) -> list[Plan]:
        """List the ways to look at the new images of `request`, see `list_plans`, and `Asked` for the conversation."""
        costs = self.learn(modes)
        most = self.manifest.preprocessing.max_slices if request.max_slices is None else request.max_slices
        asked = Asked(conversation or Conversation(), request, new, list(costs), most, in_memory)
        budget_ms = None if request.budget is None else request.budget.milliseconds
        return list_plans(asked, self.manifest, self.model, costs.__getitem__, budget_ms=budget_ms, spent=spent)

    def fitted(
        self,
        request: Request,
        new: Sequence[NewImage],
        *,
        conversation: Conversation,
        in_memory: int,
        spent: Callable[[], float],
    ) -> tuple[Request, Plan | None]:
        """Set mode and slices of a request so that it keeps its budget, and return the plan.

        Without a budget, or when nothing fits into the context, the request stays as it is.
        """
        if request.budget is None:
            return request, None
        modes = request.budget.modes
        plan = choose_plan(self.plans(request, new, modes, conversation=conversation, in_memory=in_memory, spent=spent))
        return (request if plan is None else replace(request, mode=plan.mode, max_slices=plan.max_slices)), plan
