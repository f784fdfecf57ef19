"""A checkpoint whose vision tower is as small as a graph needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.checkpoints import TinyCheckpoint, save_checkpoint

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a checkpoint with two vision layers; do not write into it."""
    tiny = TinyCheckpoint(table_side=8, vision_layers=2, insert_layer=0)
    return save_checkpoint(tmp_path_factory.mktemp("checkpoint"), tiny)
