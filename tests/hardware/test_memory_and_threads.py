"""Our memory, streams, contexts and CUDA graphs on a real GPU, with a stand-in for TensorRT alone.

They need pycuda and no TensorRT.
"""

from __future__ import annotations

import ctypes
import importlib
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.hardware.computing_engine import ComputingEngine, computing_package
from support.hardware.counted_graph import CountedGraph
from support.pretended_gpu.engine import check, inputs, message

from uhd_edge.engines.errors import EngineError, UhdError
from uhd_edge.engines.tensorrt import cuda, executions
from uhd_edge.engines.tensorrt import engine as ours
from uhd_edge.engines.tensorrt.cuda import CudaDevice
from uhd_edge.engines.tensorrt.engine import TensorRtEngine
from uhd_edge.engines.tensorrt.library import INSTALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.engines.tensorrt.gpu import Gpu

LITTLE = 4 << 20  # bytes that the driver may keep for itself


@pytest.fixture
def file(gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an engine that the stand-in computes."""
    try:
        CudaDevice(INSTALL["tensorrt"])
    except UhdError as error:
        pytest.skip(str(error))
    package = computing_package()
    monkeypatch.setattr(ours, "import_tensorrt", lambda _: package)
    monkeypatch.setattr(executions, "CudaGraph", CountedGraph)
    CountedGraph.open = CountedGraph.launches = 0
    file = tmp_path / "encoder.engine"
    file.write_bytes(b"engine")
    return file


def current_context() -> int:
    """The context that is current in this thread; 0 if there is none."""
    found = ctypes.c_void_p()
    assert ctypes.CDLL("libcuda.so.1").cuCtxGetCurrent(ctypes.byref(found)) == 0
    return found.value or 0


def free_memory() -> int:
    """Bytes of the GPU that are free."""
    driver = importlib.import_module("pycuda.driver")
    cuda._primary_context(driver).push()
    try:
        return int(driver.mem_get_info()[0])
    finally:
        driver.Context.pop()


@contextmanager
def taken_memory(size: int) -> Iterator[None]:
    """Keep so many bytes of the GPU from others."""
    device = CudaDevice(INSTALL["tensorrt"])
    with device.active("what others take"):
        taken = device.allocate(size)
    try:
        yield
    finally:
        with device.active("what others take"):
            taken.free()
            device.close()


def in_threads(count: int, action: Any) -> None:
    """Call `action` with 0, 1, .. in so many threads at once; raises the first error."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            action(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_every_shape_comes_out_right_plain_and_as_a_captured_graph(file: Path) -> None:
    shapes = [(1, 2), (4, 64), (2, 8), (2, 5), (4, 64), (1, 2), (9, 64), (3, 9), (1, 3), (1, 4), (1, 5), (1, 6)] * 4
    with TensorRtEngine(file, backend="tensorrt") as engine:
        for seed, (batch, length) in enumerate(shapes):
            check(engine, batch, length, seed)
        assert CountedGraph.launches > 0
        assert 0 < CountedGraph.open <= executions.MOST_CAPTURED
    assert CountedGraph.open == 0


def test_threads_take_turns_and_none_keeps_a_context(file: Path) -> None:
    def run(number: int) -> None:
        for seed in range(20):
            check(engine, 1 + number % 4, 2 + number, 100 * number + seed)
        assert current_context() == 0

    before = current_context()
    with TensorRtEngine(file, backend="tensorrt") as engine:
        in_threads(8, run)
    assert current_context() == before


def test_an_engine_may_be_opened_in_one_thread_run_in_others_and_closed_in_this_one(file: Path) -> None:
    engines: list[TensorRtEngine] = []
    in_threads(4, lambda _: engines.append(TensorRtEngine(file, backend="tensorrt")))
    in_threads(4, lambda number: [check(engines[-number], 2, 7, seed) for seed in range(4)])
    for engine in engines:
        check(engine, 1, 2)
        engine.close()
        engine.close()
    assert CountedGraph.open == 0
    assert "the engine is closed" in message(EngineError, engines[0].run, inputs(1, 2))


def test_closing_in_another_thread_gives_all_memory_back(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ComputingEngine, "device_memory_size_v2", 64 << 20)

    def open_and_run(opened: list[TensorRtEngine]) -> None:
        opened.append(TensorRtEngine(file, backend="tensorrt"))
        for _ in range(3):  # the third run is a captured one
            check(opened[-1], 4, 64)

    before = 0
    for number in range(12):
        opened: list[TensorRtEngine] = []
        in_threads(1, lambda _, opened=opened: open_and_run(opened))
        in_threads(1, lambda _, opened=opened: opened[0].close())
        before = before or free_memory()  # after the first, when the driver has what it keeps
        assert number == 0 or before - free_memory() < LITTLE


def test_more_memory_than_there_is_is_an_error_and_nothing_stays(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TensorRtEngine(file, backend="tensorrt").close()  # what CUDA keeps for itself is kept by now
    before = free_memory()
    monkeypatch.setattr(ComputingEngine, "device_memory_size_v2", before + (1 << 30))
    for _ in range(3):
        told = message(EngineError, TensorRtEngine, file, backend="tensorrt")
        assert told.startswith(f"{file}: ")
        assert "out of memory; free some GPU memory, or use the CPU" in told
    assert abs(before - free_memory()) < LITTLE
    assert current_context() == 0
    monkeypatch.setattr(ComputingEngine, "device_memory_size_v2", 1 << 30)
    with TensorRtEngine(file, backend="tensorrt") as engine:
        check(engine, 4, 64)


def test_a_tensor_that_fits_in_pinned_memory_alone_is_an_error_and_nothing_stays(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TensorRtEngine(file, backend="tensorrt").close()
    before = free_memory()
    monkeypatch.setattr(TensorRtEngine, "_largest_sizes", lambda _: {"x": 1 << 20, "n": 1 << 30, "y": 1 << 20})
    with taken_memory(before - (1 << 29)):
        assert "out of memory" in message(EngineError, TensorRtEngine, file, backend="tensorrt")
    assert abs(before - free_memory()) < LITTLE
