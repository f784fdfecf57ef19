"""How much of a calibration is done, counted in passes of the encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.runtime.bundles.manifest import Vision
    from uhd_edge.runtime.modes import Mode

# Called with the stage and the fraction done, from 0 to 1.
Progress: TypeAlias = "Callable[[str, float], None]"

SILENT: Progress = lambda _stage, _fraction: None  # noqa: E731  # a default for parameters


class Work:
    """Adds up what is done of `total`, and tells the stage and the fraction after each piece.

    One unit is one pass of a square view through the whole encoder in 4x. The total is an
    estimate: what exceeds it is told as nearly done.
    """

    def __init__(self, total: float, tell: Progress = SILENT) -> None:
        self._total, self._tell = total, tell
        self._done, self._stage = 0.0, ""

    def begin(self, stage: str) -> None:
        """Name what is being done from now on."""
        self._stage = stage
        self.done(0)

    def expect(self, amount: float) -> None:
        """Add to the total what nobody knew of, or take off what an earlier run has finished."""
        self._total += amount

    def done(self, amount: float) -> None:
        """Add a piece that is finished."""
        self._done += amount
        self._tell(self._stage, min(self._done / self._total, 0.99))


def pass_cost(vision: Vision, mode: Mode) -> float:
    """Compute what one view costs in `mode`, in units of a view in 4x: the share of tokens that the layers see."""
    before = vision.insert_layer + 1
    after = vision.layers - before
    return (before + (after / vision.window**2 if mode == "16x" else after)) / vision.layers
