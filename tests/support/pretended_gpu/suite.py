"""A plugin for pytest with which tests/hardware starts on a GPU that is not there; TensorRT-RTX really builds for it.

It comes before the tests are imported: `pytest -p support.pretended_gpu.suite tests/hardware`.
"""

from __future__ import annotations

from uhd_edge.engines.tensorrt import cuda, gpu

gpu.first_gpu = lambda: gpu.Gpu("pretended", "8.9")
cuda.CudaDevice = lambda _install: None
