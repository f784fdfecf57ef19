"""Costs and a spread that plans can be worked out from by hand."""

from __future__ import annotations

from uhd_edge.runtime.budget.costs import CostModel, PromptCosts, SlicingCosts, VisionCosts
from uhd_edge.runtime.budget.spread import Spread
from uhd_edge.runtime.modes import Mode

COSTS: dict[Mode, CostModel] = {
    "16x": CostModel(VisionCosts(1.0, 0.04, 0.0), SlicingCosts(5.0, 1.0), PromptCosts(1.0, 0.1, 0.0), 14),
    "4x": CostModel(VisionCosts(1.0, 0.08, 0.0), SlicingCosts(5.0, 1.0), PromptCosts(1.0, 0.1, 0.0), 14),
}
SPREAD = Spread((1.3, 0.9, 1.0, 1.1, 1.0))
