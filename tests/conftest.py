"""Fixtures shared by the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Tests are imported by path; this lets them say `import checkpoints`.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def qwen3_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny checkpoint whose text model is a plain transformer; do not write into it."""
    from checkpoints import TinyCheckpoint, save_checkpoint

    return save_checkpoint(tmp_path_factory.mktemp("checkpoints") / "qwen3", TinyCheckpoint("qwen3"))


@pytest.fixture(scope="session")
def hybrid_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny checkpoint whose text model is Qwen3.5's hybrid; do not write into it."""
    from checkpoints import TinyCheckpoint, save_checkpoint

    return save_checkpoint(tmp_path_factory.mktemp("checkpoints") / "qwen3_5", TinyCheckpoint("qwen3_5_text"))
