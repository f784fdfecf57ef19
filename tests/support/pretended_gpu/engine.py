"""Engines on the pretended GPU: inputs, and a check of the outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.pretended_gpu.cuda import Gpu, Graph
from support.pretended_gpu.tensorrt import tensorrt_package

from uhd_edge.engines.tensorrt import cuda, executions
from uhd_edge.engines.tensorrt import engine as ours

SMALL = {"x": [(1, 2, 3), (1, 2, 3), (2, 8, 3)], "n": [(1, 2), (1, 2), (2, 8)]}
LARGE = {"x": [(1, 2, 3), (1, 2, 3), (4, 64, 3)], "n": [(1, 2), (1, 2), (4, 64)]}


def pretend(monkeypatch: pytest.MonkeyPatch, *, captures_itself: bool) -> Gpu:
    gpu = Gpu()
    monkeypatch.setattr(cuda, "_import_driver", lambda _: gpu.driver())
    trt = tensorrt_package(gpu, [LARGE, SMALL], captures_itself=captures_itself)
    monkeypatch.setattr(ours, "import_tensorrt", lambda _: trt)
    monkeypatch.setattr(Graph, "gpu", gpu, raising=False)
    monkeypatch.setattr(executions, "CudaGraph", Graph)
    return gpu


def inputs(batch: int, length: int, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "x": random.standard_normal((batch, length, 3)).astype(np.float32),
        "n": random.integers(0, 9, (batch, length)),
    }


def check(engine: Any, batch: int, length: int, seed: int = 0) -> None:
    given = inputs(batch, length, seed)
    (name, result), *others = engine.run(given).items()
    assert (name, others) == ("y", [])
    np.testing.assert_allclose(result, 2 * given["x"] + given["n"][..., None], rtol=1e-6)


def message(error: type[Exception], action: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        action(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
