"""An export checks before it begins that there is enough space on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from uhd_edge.export import disk_space
from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.export import EXPORTED_PRECISIONS
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import OutputError
from uhd_edge.runtime.modes import Precision


@pytest.mark.parametrize("ready", [True, False])
def test_too_little_space_is_reported_before_the_work_begins(
    tmp_path: Path, quick: Any, qwen3_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, ready: bool
) -> None:
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100_000})())
    with pytest.raises(OutputError, match=r"needs about \d+\.\d MB, but only 0\.1 MB are free"):
        quick(tmp_path / "bundle", llm=qwen3_bundle.llm_path if ready else None)
    assert list(tmp_path.iterdir()) == []


def test_the_estimated_space_is_about_what_is_used(qwen3_checkpoint: Path, qwen3_bundle: Bundle) -> None:
    used = sum(record.bytes for record in qwen3_bundle.manifest.files.values())
    with open_checkpoint(qwen3_checkpoint) as checkpoint:
        precisions = EXPORTED_PRECISIONS
        assert disk_space.bytes_to_copy(checkpoint, qwen3_bundle.llm_path, precisions) == pytest.approx(used, rel=0.2)
        # Two copies of the text model, which is small, against the graphs.
        assert disk_space.bytes_to_convert(checkpoint, "f32", precisions) == pytest.approx(used, rel=0.2)


@pytest.mark.parametrize("precision", EXPORTED_PRECISIONS)
def test_the_estimated_space_for_graphs_is_that_of_their_weights(
    qwen3_checkpoint: Path, qwen3_bundle: Bundle, precision: Precision
) -> None:
    files = qwen3_bundle.manifest.files
    used = sum(record.bytes for name, record in files.items() if name.endswith(f"-{precision}.weights"))
    llm = qwen3_bundle.llm_path
    with open_checkpoint(qwen3_checkpoint) as checkpoint:
        asked = disk_space.bytes_to_copy(checkpoint, llm, [precision]) - llm.stat().st_size
        table = checkpoint.tensor("model.vision_tower.embeddings.position_embedding.weight").size
    # The position table stays in FP32: half of this small tower, and a hundredth of a real one.
    assert asked == pytest.approx(used - (2 * table if precision == "fp16" else 0), rel=0.05)


@pytest.mark.parametrize("llm_type", ["f32", "q8_0"])
def test_a_conversion_has_room_for_two_copies_of_the_text_model(qwen3_checkpoint: Path, llm_type: str) -> None:
    """What is converted and what comes of it; for a type that is quantized, an intermediate GGUF like the first."""
    with open_checkpoint(qwen3_checkpoint) as checkpoint:
        text = sum(checkpoint.tensor(name).nbytes for name in checkpoint.names if "language_model" in name)
        assert disk_space.bytes_to_convert(checkpoint, llm_type, []) == 2 * text
        # Before its weights are there, two bytes a number are expected. These have four.
        assert disk_space.estimate_conversion(checkpoint.config, []) == text
