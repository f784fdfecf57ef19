"""The TensorRT engine as far as a machine without a GPU can test it.

What is refused is real. Running is tried against a pretended GPU (see `support.pretended_gpu`),
which proves the bookkeeping; that TensorRT itself does what the pretended one does is for
tests/hardware.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.pretended_gpu.cuda import Gpu
from support.pretended_gpu.engine import check, inputs, message
from support.pretended_gpu.tensorrt import Engine

from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.tensorrt import cuda
from uhd_edge.engines.tensorrt.engine import TensorRtEngine


def test_the_real_package_refuses_what_is_no_engine_and_its_reason_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    monkeypatch.setattr(cuda, "_import_driver", lambda _: Gpu().driver())
    file.write_bytes(b"no engine" * 100)
    told = message(EngineError, TensorRtEngine, file, backend="tensorrt-rtx")
    assert told.startswith(f"{file}: TensorRT-RTX cannot load it on this machine; build it again here (")
    assert "Error Code" in told
    assert capfd.readouterr().out == ""


def test_every_shape_comes_out_right_however_often_and_in_whatever_order(gpu: Gpu, file: Path) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        assert engine.provider == "TensorRT"
        shapes = [(1, 2), (4, 64), (2, 8), (2, 5), (4, 64), (1, 2), (1, 2), (3, 9)] * 3
        for seed, (batch, length) in enumerate(shapes):
            check(engine, batch, length, seed)


@pytest.mark.parametrize(("batch", "length", "runs"), [(4, 64, 1), (5, 64, 2), (9, 64, 3), (3, 2, 1), (9, 2, 3)])
def test_a_batch_larger_than_the_engine_was_built_for_goes_through_in_as_few_runs_as_possible(
    gpu: Gpu, file: Path, batch: int, length: int, runs: int
) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        before = gpu.copies
        check(engine, batch, length)
        assert gpu.copies - before == 3 * runs


def test_results_are_copies_that_the_next_run_leaves_alone(gpu: Gpu, file: Path) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        first = engine.run(inputs(1, 4, seed=1))["y"]
        kept = first.copy()
        engine.run(inputs(1, 4, seed=2))
        np.testing.assert_array_equal(first, kept)


def test_buffers_are_allocated_once_for_the_largest_shapes_and_freed_by_close(gpu: Gpu, file: Path) -> None:
    engine = TensorRtEngine(file, backend="tensorrt")
    before = {address: allocation.bytes.size for address, allocation in gpu.allocated.items()}
    pinned_and_device = 2 * (4 * 64 * 3 * 4 + 4 * 64 * 8 + 4 * 64 * 3 * 4)
    assert sum(before.values()) == pinned_and_device + Engine.device_memory_size_v2
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
    gpu: Gpu, file: Path, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    monkeypatch.setattr(Engine, "device_memory_size_v2", 2400)
    gpu.largest_allocation = largest
    told = message(EngineError, TensorRtEngine, file, backend="tensorrt")
    assert told.startswith(f"{file}: cuMemAlloc failed: out of memory; free some GPU memory")
    assert gpu.allocated == {}
    assert gpu.contexts == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"x": np.zeros((1, 2, 3))}, "x must be float32 [?, ?, 3]; it was given float64 [1, 2, 3]"),
        ({"n": np.zeros((1, 2), np.int32)}, "n must be int64 [?, ?]; it was given int32 [1, 2]"),
        ({"z": np.zeros(1)}, "expects x float32 [?, ?, 3], n int64 [?, ?]; it was given x, n, z"),
        (inputs(5, 65), "it was given x [1, 65, 3], n [1, 65]; build it again, with a larger --largest-view"),
        (inputs(1, 65), "x [1, 2, 3] to [2, 8, 3], n [1, 2] to [2, 8]; or x [1, 2, 3] to [4, 64, 3]"),
    ],
)
def test_a_wrong_input_is_told_with_what_was_expected(gpu: Gpu, file: Path, change: dict[str, Any], told: str) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        text = message(EngineError, engine.run, inputs(1, 2) | change)
        assert text.startswith(f"{file}: ")
        assert told in text
        check(engine, 1, 2)


def test_a_file_that_tensorrt_does_not_take_is_named_and_nothing_stays_allocated(gpu: Gpu, file: Path) -> None:
    file.write_bytes(b"other")
    assert message(EngineError, TensorRtEngine, file, backend="tensorrt").startswith(f"{file}: TensorRT cannot load it")
    file.write_bytes(b"")
    assert "is empty; build it again" in message(EngineError, TensorRtEngine, file, backend="tensorrt")
    file.unlink()
    assert "cannot be read (No such file" in message(EngineError, TensorRtEngine, file, backend="tensorrt")
    assert gpu.allocated == {}


def test_a_profile_that_tensorrt_raises_about_is_an_error_of_ours_and_nothing_stays(gpu: Gpu, file: Path) -> None:
    gpu.failing_profiles = True
    told = message(EngineError, TensorRtEngine, file, backend="tensorrt")
    assert told == f"{file}: Error in set optimization profile async."
    assert gpu.allocated == {}
    assert gpu.streams == 0
    assert gpu.contexts == 0


def test_engines_closed_by_other_threads_leave_no_stream_and_share_one_context(gpu: Gpu, file: Path) -> None:
    engines: list[TensorRtEngine] = []

    def open_and_run() -> None:
        engines.append(TensorRtEngine(file, backend="tensorrt"))
        for _ in range(3):  # the third run is a captured one
            check(engines[-1], 1, 2)

    for _ in range(2):
        thread = threading.Thread(target=open_and_run)
        thread.start()
        thread.join()
    assert (gpu.streams, gpu.retained) == (2, 1)
    for engine in engines:
        engine.close()
    assert (gpu.streams, gpu.retained) == (0, 1)
    assert gpu.allocated == {}
