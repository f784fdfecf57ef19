"""A checkpoint that a test may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def folder(qwen3_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint to change."""
    return shutil.copytree(qwen3_checkpoint, tmp_path / "checkpoint")
