"""A small graph and a kit, for building."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.kits import make_kit
from support.linear_graph import save_linear

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with a graph that is built in a second."""
    save_linear(tmp_path / "graphs" / "linear.onnx")
    return tmp_path


@pytest.fixture(scope="session")
def made(qwen3_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit of the plain checkpoint's bundle; do not write into it."""
    return make_kit(qwen3_bundle, tmp_path_factory.mktemp("kits") / "kit")
