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

# How far the level goes towards each ratio. On recorded questions, beside busy processes and without,
# a half kept as many promises as a tenth did and needed less room.
FOLLOWING = 0.5

# The weight of a deviation beside that of the one after it: the latest 33 weigh as much as all before them would.
FADING = 0.97
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
        newest = len(deviations) - 1
        weighed = sorted((deviation, FADING ** (newest - place)) for place, deviation in enumerate(deviations))
        wanted = share * (sum(weight for _, weight in weighed) + 1)
        for deviation, weight in weighed:
            wanted -= weight
            if wanted <= 0:
                return level * deviation
        return level * weighed[-1][0]

    def _follow(self) -> tuple[float, list[float]]:
        """Return the level after all ratios, and each ratio as a multiple of the level before it."""
        level, *following = map(math.log, self.ratios or (1.0,))
        deviations = [UNKNOWN]
        for ratio in following:
            deviations.append(math.exp(ratio - level))
            level += FOLLOWING * (ratio - level)
        return math.exp(level), deviations
