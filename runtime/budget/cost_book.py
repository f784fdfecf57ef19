"""The costs of each mode of an open assistant: known, read from the user's cache, or measured now."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from uhd_edge.engines.threads import usable_cores
from uhd_edge.runtime.bundles.bundle import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.runtime.budget.costs import CostModel
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.vision.encoder import VisionEncoder
    from uhd_edge.runtime.vision.vision_engines import VisionEngines

# Longer than the longest prompt that is measured.
LARGEST_CONTEXT = 4096


class CostBook:
    """The costs of each mode with this encoder and this language model; measured where they are unknown.

    `threads` are those that both were opened with.
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
        self._known: dict[Mode, CostModel] = {}

    def costs(self, mode: Mode, progress: Callable[[str], None] = lambda _: None) -> CostModel:
        """Return the costs of `mode`, and open its engines.

        `progress` is called when measuring begins, which takes seconds with a large model, and
        when the result cannot be stored. Measuring clears the language model's memory. Raises
        `EngineError` or `ModelError` when the engines or the model fail.
        """
        if mode not in self._known:
            self._known[mode] = self._find(self._encoder.open_mode(mode), progress)
        return self._known[mode]

    def _find(self, engines: VisionEngines, progress: Callable[[str], None]) -> CostModel:
        # Imported late: only a question with a time budget needs it, and imports slow down every start.
        from uhd_edge.runtime.budget.cost_measuring import measure_costs
        from uhd_edge.runtime.budget.cost_store import read_costs, write_costs

        identity = self._identity(engines)
        kept = read_costs(identity, engines.manifest.preprocessing.patch_size)
        if kept is not None:
            return kept
        progress(f"measuring how fast this machine is in {engines.mode}, once for this bundle")
        costs = measure_costs(engines, self._model)
        if problem := write_costs(identity, costs):
            progress(problem)
        return costs

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
