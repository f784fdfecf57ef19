"""Without pycuda or a driver, one line says what is not there."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.pretended_gpu.engine import message

from uhd_edge.engines.errors import EngineUnavailableError, MissingExtraError
from uhd_edge.engines.tensorrt import cuda
from uhd_edge.engines.tensorrt import engine as ours
from uhd_edge.engines.tensorrt.engine import TensorRtEngine


def test_without_pycuda_the_pip_line_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "import_tensorrt", lambda _: SimpleNamespace(__version__="10.3.0"))
    monkeypatch.setitem(sys.modules, "pycuda", None)
    told = message(MissingExtraError, TensorRtEngine, file, backend="tensorrt-rtx")
    assert (
        'need pycuda, which is not installed; pip install "uhd-edge[rtx]" "pycuda>=2026.1" (it needs the CUDA toolkit)'
        in told
    )


def test_pycuda_without_a_driver_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver(name: str) -> None:
        raise ImportError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(ours, "import_tensorrt", lambda _: SimpleNamespace(__version__="10.3.0"))
    monkeypatch.setattr(cuda.importlib, "import_module", no_driver)
    told = message(EngineUnavailableError, TensorRtEngine, file, backend="tensorrt")
    assert "finds no NVIDIA driver (libcuda.so.1" in told
