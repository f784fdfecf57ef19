"""An export without its slow parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.bundles.bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.export.checkpoint.checkpoint import Checkpoint


def graphs_by_hand(checkpoint: Checkpoint, folder: Path, *, modes: Any, precisions: Any, progress: Any) -> Any:
    """In place of the real graphs, whose own tests are elsewhere: small files under the same names."""
    (folder / "graphs").mkdir(exist_ok=True)
    written: dict[str, dict[str, dict[str, str]]] = {mode: {} for mode in modes}
    for precision in precisions:
        progress(f"connector {precision}")
        (folder / "graphs" / f"connector-{precision}.onnx").write_text(precision)
        for mode in modes:
            progress(f"encoder {mode} {precision}")
            (folder / "graphs" / f"encoder-{mode}-{precision}.onnx").write_text(mode + precision)
            written[mode][precision] = {
                "encoder": f"graphs/encoder-{mode}-{precision}.onnx",
                "connector": f"graphs/connector-{precision}.onnx",
            }
    return written


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, qwen3_checkpoint: Path, qwen3_bundle: Bundle) -> Callable[..., Bundle]:
    """Export the plain checkpoint with a ready language model, without the real graphs."""
    monkeypatch.setattr("uhd_edge.export.graphs.graphs.write_graphs", graphs_by_hand)

    def run(target: Path, **options: Any) -> Bundle:
        return export_bundle(qwen3_checkpoint, target, **{"llm": qwen3_bundle.llm_path, **options})

    return run
