"""What an answer's first token costs in milliseconds, as a function of the work.

The model is a sum of terms that are linear in the measured costs (see `cost_measuring.py`):
slicing by pixels, the vision tower by patches and, for its attention, by their squares, the
language model by tokens and their squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from uhd_edge.runtime.vision.encoding import number_of_runs

if TYPE_CHECKING:
    from collections.abc import Sequence

# Milliseconds for one of something.
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Work:
    """The work before a first token.

    `sizes` are (width, height) in pixels of the images, `views` the (rows, columns) in
    patches of each image's views, `tokens` those of the whole prompt, vision included, of
    which the first `in_memory` are not prefilled again.
    """

    sizes: Sequence[tuple[int, int]]
    views: Sequence[Sequence[tuple[int, int]]]
    tokens: int
    in_memory: int = 0


@dataclass(frozen=True)
class VisionCosts:
    """Milliseconds of patches, encoder and connector: for a run of the engines, a patch, a patch's square."""

    per_batch: Cost
    per_patch: Cost
    per_patch_squared: Cost


@dataclass(frozen=True)
class SlicingCosts:
    """Milliseconds of resizing, for a million pixels of the image and for a million of its views."""

    per_source_megapixel: Cost
    per_view_megapixel: Cost


@dataclass(frozen=True)
class PromptCosts:
    """Milliseconds of prefill and the first token: for a prompt, a token, a token's square."""

    per_prompt: Cost
    per_token: Cost
    per_token_squared: Cost


@dataclass(frozen=True)
class CostModel:
    """The costs of one mode of one bundle on one machine; `patch_size` is a patch's side in pixels."""

    vision: VisionCosts
    slicing: SlicingCosts
    prompt: PromptCosts
    patch_size: int

    def milliseconds(self, work: Work) -> float:
        """Predict the time from decoded images to the first token on a machine as free as when it was measured."""
        vision = sum(self.looking(size, views) for size, views in zip(work.sizes, work.views, strict=True))
        return vision + self.prefill(work.tokens, work.in_memory)

    def looking(self, size: tuple[int, int], views: Sequence[tuple[int, int]]) -> float:
        """Predict the milliseconds of slicing one image and encoding its views; both as in `Work`."""
        return self._slicing(size, views) + self.encoding(views)

    def prefill(self, tokens: int, in_memory: int) -> float:
        """Predict the milliseconds from the last embedding to the first token; both as in `Work`.

        Attention makes later tokens cost more, whether the earlier ones are in memory or not.
        """
        costs = self.prompt
        squared = tokens**2 - in_memory**2
        return costs.per_prompt + (tokens - in_memory) * costs.per_token + squared * costs.per_token_squared

    def _slicing(self, size: tuple[int, int], views: Sequence[tuple[int, int]]) -> float:
        pixels = sum(rows * columns for rows, columns in views) * self.patch_size**2
        source = size[0] * size[1]
        # Every image is resized to its thumbnail, and a second time to what is cut into slices.
        times = 2 if len(views) > 1 else 1
        costs = self.slicing
        return (times * source * costs.per_source_megapixel + pixels * costs.per_view_megapixel) / 1e6

    def encoding(self, views: Sequence[tuple[int, int]]) -> float:
        """Predict the milliseconds of encoding an image's views, (rows, columns) in patches each."""
        counts = [rows * columns for rows, columns in views]
        costs = self.vision
        return number_of_runs(counts) * costs.per_batch + sum(
            count * (costs.per_patch + count * costs.per_patch_squared) for count in counts
        )
