"""How far the times of questions lie from their costs: what is usual now, and what a share of them keeps.

A ratio is the time that something took, divided by what the costs say. Ratios of neighbouring
questions are alike, because they say how busy the machine is. So there are two parts: the level
that follows the latest ratios, and how far each ratio lay from the level before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

# What a question may take, as a multiple of its costs; a laptop that slept meanwhile is no measurement.
LOWEST, HIGHEST = 0.1, 10.0
Ratio = Annotated[float, Field(ge=LOWEST, le=HIGHEST)]

# How far the level goes towards each ratio, in logarithms, and how many ratios are kept. With recorded questions
# of a machine that idles, gets busy and is busy, more promises were given than with other values and as many kept.
FOLLOWING = 0.4
MOST_RATIOS = 100

# The deviation that is assumed before anything is known.
UNKNOWN = 1.2


@dataclass(frozen=True)
class Spread:
    """The ratios of the latest questions, the oldest first."""

    ratios: tuple[Ratio, ...] = ()

    def followed_by(self, ratios: Sequence[float]) -> Spread:
        """Add ratios, and forget those that are too old; each is brought within what a question may take."""
        within = (min(max(ratio, LOWEST), HIGHEST) for ratio in ratios)
        return Spread((*self.ratios, *within)[-MOST_RATIOS:])

    def usual(self) -> float:
        """Return the ratio to expect of the next question."""
        level, _ = self._follow()
        return level

    def upper(self, share: float) -> float:
        """Return the ratio that a `share` of the questions keeps, 0 to 1, the next question included.

        That one is counted as farther from the level than all before it, so few ratios give a
        careful answer.
        """
        level, deviations = self._follow()
        rank = math.ceil(share * (len(deviations) + 1))
        return level * sorted(deviations)[min(rank, len(deviations)) - 1]

    def _follow(self) -> tuple[float, list[float]]:
        """Return the level after all ratios, and each ratio as a multiple of the level before it."""
        level, *following = map(math.log, self.ratios or (1.0,))
        deviations = [UNKNOWN]
        for ratio in following:
            deviations.append(math.exp(ratio - level))
            level += FOLLOWING * (ratio - level)
        return math.exp(level), deviations
