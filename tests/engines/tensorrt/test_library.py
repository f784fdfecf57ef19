"""TensorRT's package is imported only when it is chosen, and where it is not there, one line says so.

The names we use of its API are looked up in the real TensorRT-RTX package.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.pretended_gpu.engine import message

from uhd_edge.engines.errors import EngineUnavailableError, MissingExtraError
from uhd_edge.engines.tensorrt.engine import TensorRtEngine


@pytest.mark.parametrize(
    ("backend", "module", "line"),
    [
        ("tensorrt", "tensorrt", 'TensorRT is not installed; pip install "uhd-edge[gpu]"'),
        ("tensorrt-rtx", "tensorrt_rtx", 'TensorRT-RTX is not installed; pip install "uhd-edge[rtx]" "pycuda>=2026.1"'),
    ],
)
def test_without_the_package_the_pip_line_is_told(
    backend: Any, module: str, line: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert line in message(MissingExtraError, TensorRtEngine, file, backend=backend)


def test_a_package_whose_libraries_do_not_load_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise OSError("libnvinfer.so.10: cannot open shared object file")

    monkeypatch.setattr("uhd_edge.engines.tensorrt.library.importlib.import_module", broken)
    told = message(EngineUnavailableError, TensorRtEngine, file, backend="tensorrt")
    assert "TensorRT is installed but cannot be imported (libnvinfer.so.10" in told


@pytest.mark.parametrize(
    "reason",
    [
        "libnvdla_compiler.so: cannot open shared object file: No such file or directory",
        "/usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so: file too short",  # an image without the board's
    ],
)
def test_the_package_of_jetpack_6_that_tensorrt_lacks_is_named(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    (tmp_path / "tensorrt.py").write_text(f"raise ImportError({reason!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    told = message(EngineUnavailableError, TensorRtEngine, file, backend="tensorrt")
    assert "apt install nvidia-l4t-dla-compiler" in told
    assert "--runtime nvidia" in told
    assert "uhd-edge[gpu]" not in told


def test_tensorrt_and_pycuda_are_imported_only_when_chosen() -> None:
    program = """
import sys
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.checking.verify import verify_bundle
import uhd_edge.engines.tensorrt.engine, uhd_edge.engines.selection
print({"tensorrt", "tensorrt_rtx", "pycuda", "torch", "onnx", "transformers"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_real_api_has_every_name_we_use() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: its API cannot be looked up")
    for owner, names in {
        trt: "ILogger TensorIOMode ExecutionContextAllocationStrategy Runtime nptype __version__ CudaGraphStrategy",
        trt.ILogger: "INTERNAL_ERROR ERROR",
        trt.TensorIOMode: "INPUT",
        trt.ExecutionContextAllocationStrategy: "USER_MANAGED",
        trt.CudaGraphStrategy: "WHOLE_GRAPH_CAPTURE",
        trt.Runtime: "deserialize_cuda_engine",
        trt.ICudaEngine: "get_tensor_name num_io_tensors get_tensor_mode get_tensor_dtype get_tensor_shape "
        "get_tensor_profile_shape num_optimization_profiles device_memory_size_v2 create_execution_context "
        "create_runtime_config",
        trt.IRuntimeConfig: "set_execution_context_allocation_strategy cuda_graph_strategy",
        trt.IExecutionContext: "set_device_memory set_optimization_profile_async set_input_shape get_tensor_shape "
        "set_tensor_address execute_async_v3",
    }.items():
        assert [name for name in names.split() if not hasattr(owner, name)] == []
