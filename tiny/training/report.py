"""The log of a run: what the last batch of every kind gave, every so many steps."""

from __future__ import annotations

import json
import time
from pathlib import Path

from torch import Tensor

from uhd_edge.tiny.training.steps import Scoring

REPORTED_EVERY = 50  # steps


class Report:
    """The log of a stage. Losses and scores are computed when a line is written, because that waits for a GPU."""

    def __init__(self, file: Path, stage: str) -> None:
        self.file, self.stage = file, stage
        self.started = time.monotonic()
        self.seen: dict[str, tuple[Tensor, Scoring]] = {}
        self.last = ""

    def saw(self, name: str, loss: Tensor, scoring: Scoring) -> None:
        """Take note of a step on a batch of the kind `name`."""
        self.seen[name] = loss, scoring
        self.last = name

    def write_sometimes(self, step: int) -> None:
        """Write a line if `step` is one that gets one."""
        if step % REPORTED_EVERY == 0:
            self.write(step)

    def write(self, step: int) -> None:
        """Write a line, unless nothing was seen since the last."""
        if not self.seen:
            return
        right = {
            name: {"loss": round(loss.item(), 3), **{key: round(share, 3) for key, share in scoring().items()}}
            for name, (loss, scoring) in self.seen.items()
        }
        minutes = round((time.monotonic() - self.started) / 60, 2)
        line = {"stage": self.stage, "step": step, "minutes": minutes, "last": self.last, "right": right}
        with self.file.open("a") as log:
            log.write(json.dumps(line) + "\n")
        self.seen = {}
