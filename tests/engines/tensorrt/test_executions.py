"""Which profile runs a shape, and which shapes are kept as captured graphs, against a pretended GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pretended_gpu.cuda import Gpu
from support.pretended_gpu.engine import check, pretend

from uhd_edge.engines.tensorrt import executions
from uhd_edge.engines.tensorrt.engine import TensorRtEngine


def test_each_profile_has_one_context_and_the_tightest_that_holds_a_shape_runs_it(gpu: Gpu, file: Path) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        assert sorted(context.profile for context in gpu.open_contexts) == [0, 1]
        check(engine, 2, 8)
        check(engine, 2, 9)
        runs = {context.profile: context.runs for context in gpu.open_contexts}
        assert runs == {1: 1, 0: 1}
        assert len({context.memory for context in gpu.open_contexts}) == 1


def test_a_shape_that_comes_again_is_captured_and_launched_from_then_on(gpu: Gpu, file: Path) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        for seed in range(5):
            check(engine, 2, 5, seed)
            check(engine, 4, 64, seed)
        assert [graph.launches for graph in gpu.graphs] == [3, 3]
        assert len(gpu.open_contexts) == 4


def test_only_so_many_shapes_are_kept_captured(gpu: Gpu, file: Path) -> None:
    with TensorRtEngine(file, backend="tensorrt") as engine:
        for seed in range(3):
            for length in range(2, 2 + executions.MOST_CAPTURED + 3):
                check(engine, 1, length, seed)
        assert len(gpu.graphs) == executions.MOST_CAPTURED


def test_the_shape_not_used_for_longest_makes_room(gpu: Gpu, file: Path) -> None:
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


def test_an_engine_that_cannot_be_captured_runs_all_the_same(gpu: Gpu, file: Path) -> None:
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
