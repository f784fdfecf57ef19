"""How lmms-eval learns of the model `uhd_edge`: the entry point that pyproject.toml names."""

from __future__ import annotations

from typing import Any


def manifest() -> Any:
    """Return lmms-eval's `ModelManifest`; called by lmms-eval itself, which is installed then."""
    from lmms_eval.models.registry_v2 import ModelManifest  # pyright: ignore[reportMissingImports]  # who calls has it

    return ModelManifest("uhd_edge", chat_class_path="uhd_edge.evaluation.harness.lmms_eval_model.UhdEdge")
