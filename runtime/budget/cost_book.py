"""The costs of each mode of an open assistant: known, read from the user's cache, or measured now.

Costs are those of a machine as it was when it was measured. What questions really take beside
them is learned from every question with a budget, and stored with the costs.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from uhd_edge.engines.threads import usable_cores
from uhd_edge.runtime.budget.spread import MOST_RATIOS, Spread
from uhd_edge.runtime.bundles.bundle import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.runtime.budget.cost_store import StoredCosts
    from uhd_edge.runtime.budget.costs import CostModel
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.vision.encoder import VisionEncoder
    from uhd_edge.runtime.vision.vision_engines import VisionEngines

# Longer than the longest prompt that is measured.
LARGEST_CONTEXT = 4096

# A program that is killed forgets fewer questions than this.
STORED_EVERY = 16


class CostBook:
    """The costs of each mode with this encoder and this language model; measured where they are unknown.

    `threads` are those that both were opened with. `spread` is how far the latest questions lie
    from the costs; all modes share it, because it is the machine's.
    """

    def __init__(
        self,
        encoder: VisionEncoder,
        model: LanguageModel,
        *,
        threads: int | None,
    ) -> None:
        self._encoder, self._model = encoder, model
        self._settings = {"threads": str(threads or usable_cores()), "gpu_layers": str(model.gpu_layers)}
        self._measuring = threading.Lock()  # two threads would disturb each other
        self._known: dict[Mode, StoredCosts] = {}
        self._not_stored: dict[Mode, int] = {}
        self._before: list[float] = []
        self._now: list[float] = []

    def costs(
        self, mode: Mode, progress: Callable[[str], None] = lambda _: None, model: LanguageModel | None = None
    ) -> CostModel:
        """Return the costs of `mode`, and open its engines; they are measured with `model`, if it is given.

        `progress` is called when measuring begins, which takes seconds with a large model, and
        when the result cannot be stored. Measuring clears the language model's memory. Raises
        `EngineError` or `ModelError` when the engines or the model fail.
        """
        with self._measuring:
            if mode not in self._known:
                self._known[mode] = self._find(self._encoder.open_mode(mode), progress, model or self._model)
            return self._known[mode].costs

    @property
    def spread(self) -> Spread:
        """How far times lie from the costs: what was known when the program started, then what it saw itself."""
        return Spread().followed_by([*self._before, *self._now])

    def learn(self, mode: Mode, ratio: float) -> None:
        """Note that a question in `mode` took `ratio` times what its costs say."""
        self._now = [*self._now, ratio][-MOST_RATIOS:]
        stored = self._known.get(mode)
        if stored is None:
            return
        self._known[mode] = replace(stored, questions=stored.questions.followed_by([ratio]))
        self._not_stored[mode] = self._not_stored.get(mode, 0) + 1
        if self._not_stored[mode] >= STORED_EVERY:
            self.store()

    def store(self) -> None:
        """Store what was learned from questions, unless the machine was measured anew meanwhile.

        When that fails, it is learned again; nobody needs to be told.
        """
        if not self._not_stored:
            return
        from uhd_edge.runtime.budget.cost_store import read_costs, write_costs

        for mode in self._not_stored:
            stored = self._known[mode]
            present = read_costs(stored.identity, stored.costs.patch_size)
            if present is not None and present.costs == stored.costs:
                write_costs(stored)
        self._not_stored.clear()

    def _find(self, engines: VisionEngines, progress: Callable[[str], None], model: LanguageModel) -> StoredCosts:
        # Imported late: only a question with a time budget needs it, and imports slow down every start.
        from uhd_edge.runtime.budget.cost_measuring import check_costs, measure_costs
        from uhd_edge.runtime.budget.cost_store import StoredCosts, read_costs, write_costs

        identity = self._identity(engines)
        stored = read_costs(identity, engines.manifest.preprocessing.patch_size)
        outdated = None if stored is None else stored.why_outdated()
        if stored is not None and outdated is None:
            self._before += [*stored.measured.ratios, *stored.questions.ratios]
            self._now += check_costs(engines, model, stored.costs)
            return stored
        progress(outdated or f"measuring how fast this machine is in {engines.mode}, once for this bundle")
        measured = StoredCosts(identity, *measure_costs(engines, model))
        self._before += measured.measured.ratios
        if problem := write_costs(measured):
            progress(problem)
        return measured

    def _identity(self, engines: VisionEngines) -> dict[str, str]:
        """Return everything that the costs depend on: what runs, its settings, and the machine."""
        from uhd_edge.runtime.budget.cost_store import machine

        manifest = (self._encoder.bundle.path / MANIFEST).read_bytes()
        return {
            **self._settings,
            "bundle": hashlib.sha256(manifest).hexdigest(),
            "mode": engines.mode,
            "precision": engines.precision,
            "provider": engines.encoder.provider,
            "versions": " ".join(f"{name} {_version(name)}" for name in ("uhd-edge", "llama-cpp-python")),
            "machine": machine(),
            # In a small context only short prompts can be measured.
            "context": str(min(self._model.context, LARGEST_CONTEXT)),
        }


def _version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
