"""The TensorRT backend as far as a machine without a GPU can test it.

Importing and what is refused are real. Running is tried against a pretended
GPU (see `pretended_gpu`), which proves the bookkeeping; that TensorRT itself does what the
pretended one does is for tests/hardware. The names we use of its API are looked up in the
real TensorRT-RTX package.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support import pretended_gpu

from uhd_edge.engines.errors import EngineError, EngineUnavailableError, MissingExtraError
from uhd_edge.engines.tensorrt import cuda, cuda_graph, executions
from uhd_edge.engines.tensorrt import engine as ours
from uhd_edge.engines.tensorrt.cuda_graph import CudaGraph
from uhd_edge.engines.tensorrt.engine import TensorRtEngine

SMALL = {"x": [(1, 2, 3), (1, 2, 3), (2, 8, 3)], "n": [(1, 2), (1, 2), (2, 8)]}
LARGE = {"x": [(1, 2, 3), (1, 2, 3), (4, 64, 3)], "n": [(1, 2), (1, 2), (4, 64)]}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> pretended_gpu.Gpu:
    return pretend(monkeypatch, captures_itself=False)


def pretend(monkeypatch: pytest.MonkeyPatch, *, captures_itself: bool) -> pretended_gpu.Gpu:
    gpu = pretended_gpu.Gpu()
    monkeypatch.setattr(cuda, "_import_driver", lambda _: gpu.driver())
    trt = gpu.tensorrt([LARGE, SMALL], captures_itself=captures_itself)
    monkeypatch.setattr(ours, "import_tensorrt", lambda _: trt)
    monkeypatch.setattr(pretended_gpu.Graph, "gpu", gpu, raising=False)
    monkeypatch.setattr(executions, "CudaGraph", pretended_gpu.Graph)
    return gpu


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "encoder.engine"
    file.write_bytes(b"engine")
    return file


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


# What is not there


@pytest.mark.parametrize(
    ("backend", "module", "line"),
    [
        ("tensorrt", "tensorrt", 'TensorRT is not installed; pip install "uhd-edge[gpu]"'),
        ("tensorrt-rtx", "tensorrt_rtx", 'TensorRT-RTX is not installed; pip install "uhd-edge[rtx]" pycuda'),
    ],
)
def test_without_the_package_the_pip_line_is_told(
    backend: Any, module: str, line: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert line in message(MissingExtraError, TensorRtEngine, file, backend=backend)


def test_without_pycuda_the_pip_line_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "import_tensorrt", lambda _: SimpleNamespace(__version__="10.3.0"))
    monkeypatch.setitem(sys.modules, "pycuda", None)
    told = message(MissingExtraError, TensorRtEngine, file, backend="tensorrt-rtx")
    assert 'need pycuda, which is not installed; pip install "uhd-edge[rtx]" pycuda (it needs the CUDA toolkit)' in told


def test_pycuda_without_a_driver_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver(name: str) -> None:
        raise ImportError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(ours, "import_tensorrt", lambda _: SimpleNamespace(__version__="10.3.0"))
    monkeypatch.setattr(cuda.importlib, "import_module", no_driver)
    told = message(EngineUnavailableError, TensorRtEngine, file, backend="tensorrt")
    assert "finds no NVIDIA driver (libcuda.so.1" in told


def test_a_package_whose_libraries_do_not_load_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise OSError("libnvinfer.so.10: cannot open shared object file")

    monkeypatch.setattr("uhd_edge.engines.tensorrt.library.importlib.import_module", broken)
    told = message(EngineUnavailableError, TensorRtEngine, file, backend="tensorrt")
    assert "TensorRT is installed but cannot be imported (libnvinfer.so.10" in told


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


def test_the_real_package_refuses_what_is_no_engine_and_its_reason_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    monkeypatch.setattr(cuda, "_import_driver", lambda _: pretended_gpu.Gpu().driver())
    file.write_bytes(b"no engine" * 100)
    told = message(EngineError, TensorRtEngine, file, backend="tensorrt-rtx")
    assert told.startswith(f"{file}: TensorRT-RTX does not take it on this machine; build it again here (")
    assert "Error Code" in told
    assert capfd.readouterr().out == ""


# Running, against a pretended GPU


def test_every_shape_comes_out_right_however_often_and_in_whatever_order(gpu: pretended_gpu.Gpu, file: Path) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        assert engine.provider == "TensorRT"
        shapes = [(1, 2), (4, 64), (2, 8), (2, 5), (4, 64), (1, 2), (1, 2), (3, 9)] * 3
        for seed, (batch, length) in enumerate(shapes):
            check(engine, batch, length, seed)


@pytest.mark.parametrize(("batch", "length", "runs"), [(4, 64, 1), (5, 64, 2), (9, 64, 3), (3, 2, 1), (9, 2, 3)])
def test_a_batch_larger_than_the_engine_was_built_for_goes_through_in_as_few_runs_as_possible(
    gpu: pretended_gpu.Gpu, file: Path, batch: int, length: int, runs: int
) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        before = gpu.copies
        check(engine, batch, length)
        assert gpu.copies - before == 3 * runs


def test_results_are_copies_that_the_next_run_leaves_alone(gpu: pretended_gpu.Gpu, file: Path) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        first = engine.run(inputs(1, 4, seed=1))["y"]
        kept = first.copy()
        engine.run(inputs(1, 4, seed=2))
        np.testing.assert_array_equal(first, kept)


def test_buffers_are_allocated_once_for_the_largest_shapes_and_freed_by_close(
    gpu: pretended_gpu.Gpu, file: Path
) -> None:
    engine = TensorRtEngine(file, backend="tensorrt")
    before = {address: allocation.bytes.size for address, allocation in gpu.allocated.items()}
    pinned_and_device = 2 * (4 * 64 * 3 * 4 + 4 * 64 * 8 + 4 * 64 * 3 * 4)
    assert sum(before.values()) == pinned_and_device + pretended_gpu.Engine.device_memory_size_v2
    for seed in range(4):
        check(engine, 4, 64, seed)
        check(engine, 1, 2, seed)
    assert {address: allocation.bytes.size for address, allocation in gpu.allocated.items()} == before
    engine.close()
    engine.close()
    assert gpu.allocated == {}
    assert gpu.graphs == []
    assert gpu.contexts == 0
    assert "the engine is closed" in message(EngineError, engine.run, inputs(1, 2))


@pytest.mark.parametrize("largest", [2000, 2500], ids=["for the scratch memory", "for the second buffer"])
def test_nothing_stays_allocated_when_opening_runs_out_of_memory(
    gpu: pretended_gpu.Gpu, file: Path, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    monkeypatch.setattr(pretended_gpu.Engine, "device_memory_size_v2", 2400)
    gpu.largest_allocation = largest
    told = message(EngineError, TensorRtEngine, file, backend="tensorrt")
    assert told.startswith(f"{file}: cuMemAlloc failed: out of memory; free some memory of the GPU")
    assert gpu.allocated == {}
    assert gpu.contexts == 0


def test_each_profile_has_one_context_and_the_tightest_that_holds_a_shape_runs_it(
    gpu: pretended_gpu.Gpu, file: Path
) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        assert sorted(context.profile for context in gpu.open_contexts) == [0, 1]
        check(engine, 2, 8)
        check(engine, 2, 9)
        runs = {context.profile: context.runs for context in gpu.open_contexts}
        assert runs == {1: 1, 0: 1}
        assert len({context.memory for context in gpu.open_contexts}) == 1


def test_a_shape_that_comes_again_is_captured_and_launched_from_then_on(gpu: pretended_gpu.Gpu, file: Path) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        for seed in range(5):
            check(engine, 2, 5, seed)
            check(engine, 4, 64, seed)
        assert [graph.launches for graph in gpu.graphs] == [3, 3]
        assert len(gpu.open_contexts) == 4


def test_only_so_many_shapes_are_kept_captured(gpu: pretended_gpu.Gpu, file: Path) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        for seed in range(3):
            for length in range(2, 2 + executions.MOST_CAPTURED + 3):
                check(engine, 1, length, seed)
        assert len(gpu.graphs) == executions.MOST_CAPTURED


def test_the_shape_not_used_for_longest_makes_room(gpu: pretended_gpu.Gpu, file: Path) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        for seed in range(2):
            check(engine, 1, 2, seed)
        (first,) = gpu.graphs
        for length in range(3, 3 + 2 * executions.MOST_CAPTURED):
            check(engine, 1, length)
            check(engine, 1, length)
            check(engine, 1, 2)
        assert first in gpu.graphs
        assert first.launches == 2 * executions.MOST_CAPTURED


def test_an_engine_that_cannot_be_captured_runs_all_the_same(gpu: pretended_gpu.Gpu, file: Path) -> None:
    gpu.failing_capture = True
    with TensorRtEngine(file, backend="tensorrt") as engine:
        for seed in range(4):
            check(engine, 2, 5, seed)
        assert gpu.graphs == []
        assert len(gpu.open_contexts) == 3


def test_tensorrt_rtx_is_asked_to_capture_by_itself(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    gpu = pretend(monkeypatch, captures_itself=True)
    with TensorRtEngine(file, backend="tensorrt-rtx") as engine:
        assert engine.provider == "TensorRT-RTX"
        for seed in range(3):
            check(engine, 2, 5, seed)
        assert gpu.graphs == []
        assert {context.how.cuda_graph_strategy for context in gpu.open_contexts} == {"whole"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"x": np.zeros((1, 2, 3))}, "x must be float32 [?, ?, 3]; it was given float64 [1, 2, 3]"),
        ({"n": np.zeros((1, 2), np.int32)}, "n must be int64 [?, ?]; it was given int32 [1, 2]"),
        ({"z": np.zeros(1)}, "expects x float32 [?, ?, 3], n int64 [?, ?]; it was given x, n, z"),
        (inputs(5, 65), "it was given x [1, 65, 3], n [1, 65]; build it again for this bundle"),
        (inputs(1, 65), "x [1, 2, 3] to [2, 8, 3], n [1, 2] to [2, 8]; or x [1, 2, 3] to [4, 64, 3]"),
    ],
)
def test_a_wrong_input_is_told_with_what_was_expected(
    gpu: pretended_gpu.Gpu, file: Path, change: dict[str, Any], told: str
) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        text = message(EngineError, engine.run, inputs(1, 2) | change)
        assert text.startswith(f"{file}: ")
        assert told in text
        check(engine, 1, 2)


def test_a_file_that_tensorrt_does_not_take_is_named_and_nothing_stays_allocated(
    gpu: pretended_gpu.Gpu, file: Path
) -> None:
    file.write_bytes(b"other")
    assert message(EngineError, TensorRtEngine, file, backend="tensorrt").startswith(f"{file}: TensorRT does not take")
    file.unlink()
    assert "cannot be read (No such file" in message(EngineError, TensorRtEngine, file, backend="tensorrt")
    assert gpu.allocated == {}


# Capturing, against a pretended driver library


class Driver:
    """The functions of libcuda that a capture calls; `failing` are those that return an error."""

    def __init__(self, failing: set[str]) -> None:
        self.calls: list[str] = []
        for name in cuda_graph._ARGUMENTS:
            setattr(self, name, self._function(name, 900 if name in failing else 0))

    def _function(self, name: str, code: int) -> Any:
        def function(*arguments: Any) -> int:
            self.calls.append(name)
            for argument in arguments:
                handle = getattr(argument, "_obj", None)
                if code == 0 and isinstance(handle, ctypes.c_void_p):
                    handle.value = len(self.calls)
            return code

        return function


def captured(monkeypatch: pytest.MonkeyPatch, *failing: str) -> Driver:
    driver = Driver(set(failing))
    monkeypatch.setattr(cuda_graph, "_load_driver", lambda: driver)
    return driver


def test_a_capture_is_recorded_launched_and_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = captured(monkeypatch)
    graph = CudaGraph(7, lambda: driver.calls.append("enqueue") is None)
    graph.launch(7)
    graph.free()
    assert driver.calls == [
        "cuStreamBeginCapture_v2",
        "enqueue",
        "cuStreamEndCapture",
        "cuGraphInstantiateWithFlags",
        "cuGraphDestroy",
        "cuGraphLaunch",
        "cuGraphExecDestroy",
    ]


def test_a_failed_capture_ends_the_capture_and_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = captured(monkeypatch)
    assert "cannot be captured" in message(EngineError, CudaGraph, 7, lambda: False)
    assert "cuStreamEndCapture" in driver.calls
    driver = captured(monkeypatch)
    with pytest.raises(ZeroDivisionError):
        CudaGraph(7, lambda: bool(1 // 0))
    assert "cuStreamEndCapture" in driver.calls
    driver = captured(monkeypatch, "cuStreamEndCapture")
    assert "CUDA error 900" in message(EngineError, CudaGraph, 7, lambda: True)
    driver = captured(monkeypatch, "cuGraphInstantiateWithFlags")
    assert "cuGraphInstantiateWithFlags failed" in message(EngineError, CudaGraph, 7, lambda: True)
    assert driver.calls[-1] == "cuGraphDestroy"
