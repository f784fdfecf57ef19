"""Whether there is room for a bundle is asked before the work begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from uhd_edge.export import disk_space
from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.export import EXPORTED_PRECISIONS
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import OutputError


@pytest.mark.parametrize("ready", [True, False])
def test_too_little_space_is_told_before_the_work_begins(
    tmp_path: Path, quick: Any, qwen3_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, ready: bool
) -> None:
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100_000})())
    with pytest.raises(OutputError, match=r"needs about \d+\.\d MB, 0\.1 MB are free"):
        quick(tmp_path / "bundle", llm=qwen3_bundle.llm_path if ready else None)
    assert list(tmp_path.iterdir()) == []


def test_the_space_asked_for_is_about_what_is_used(qwen3_checkpoint: Path, qwen3_bundle: Bundle) -> None:
    used = sum(record.bytes for record in qwen3_bundle.manifest.files.values())
    with open_checkpoint(qwen3_checkpoint) as checkpoint:
        precisions = EXPORTED_PRECISIONS
        assert disk_space.bytes_to_copy(checkpoint, qwen3_bundle.llm_path, precisions) == pytest.approx(used, rel=0.2)
        # Two copies of the text model, which is small, against the graphs.
        assert disk_space.bytes_to_convert(checkpoint, "f32", precisions) == pytest.approx(used, rel=0.2)
