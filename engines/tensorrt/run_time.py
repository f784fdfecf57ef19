"""How long an engine takes for one run in the usual shape of a profile."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.engines.tensorrt.engine import TensorRtEngine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from uhd_edge.engines.tensorrt.library import Backend

# The first runs initialize the shape and capture its CUDA graph.
WARM_UP = 3
RUNS = 15


def milliseconds_a_run(file: Path, backend: Backend, shapes: Mapping[str, tuple[int, ...]]) -> float:
    """Open the engine `file` and return the median time of runs with inputs of `shapes`, copies included.

    Raises the errors of `TensorRtEngine`.
    """
    with TensorRtEngine(file, backend=backend) as engine:
        rng = np.random.default_rng(0)
        # Indices are zeros, which any table has.
        inputs = {
            name: rng.standard_normal(shape).astype(dtype) if dtype.kind == "f" else np.zeros(shape, dtype)
            for name, shape in shapes.items()
            for dtype in [np.dtype(engine.inputs[name].numpy_dtype)]
        }
        times = []
        for _ in range(WARM_UP + RUNS):
            began = time.perf_counter()
            engine.run(inputs)
            times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times[WARM_UP:])
