"""A pretended GPU, and the file of an engine for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pretended_gpu.cuda import Gpu
from support.pretended_gpu.engine import pretend


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return pretend(monkeypatch, captures_itself=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "encoder.engine"
    file.write_bytes(b"engine")
    return file
