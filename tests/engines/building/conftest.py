"""A small graph and a kit, for building, and the device a kit is taken to."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.kits import install_programs, make_kit
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


@pytest.fixture
def kit(made: Path, tmp_path: Path) -> Path:
    """A kit on the device, in a folder with a space in its name."""
    return shutil.copytree(made, tmp_path / "my kit")


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A folder of programs: what a JetPack has, and trtexec's stand-in; `uhd` is added by `install_uhd`."""
    return install_programs(tmp_path / "programs")
