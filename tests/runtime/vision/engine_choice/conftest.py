"""A bundle that engines can be built from, and a machine with TensorRT.

No machine without a GPU can open a TensorRT engine, so a pretended one stands in where one
fits; everything before that, refusing above all, is real.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from support.telling_bundle import telling_bundle
from support.vision.built_engines import Told, with_fp16

from uhd_edge.engines import selection
from uhd_edge.engines.tensorrt import cuda
from uhd_edge.engines.tensorrt import engine as tensorrt_module
from uhd_edge.engines.tensorrt.gpu import Gpu
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.vision.verdicts import kept


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return with_fp16(telling_bundle(tmp_path / "telling"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> type[Told]:
    """A machine with TensorRT-RTX 1.7.1, pycuda and a GPU of compute capability 8.9."""
    monkeypatch.setattr(selection, "import_tensorrt", lambda _: SimpleNamespace(__version__="1.7.1.116"))
    monkeypatch.setattr(selection, "first_gpu", lambda: Gpu("pretended", "8.9"))
    monkeypatch.setattr(kept, "first_gpu", lambda: Gpu("pretended", "8.9"))
    monkeypatch.setattr(tensorrt_module, "TensorRtEngine", Told)
    monkeypatch.setattr(cuda, "_import_driver", lambda _: None)
    monkeypatch.setattr(Told, "opened", [])
    return Told
