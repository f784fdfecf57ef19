"""What the tests of vision share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.telling_bundle import telling_bundle

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.engines.selection import open_onnxruntime
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.vision import opening as tower_opening


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return telling_bundle(tmp_path_factory.mktemp("bundles") / "telling")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[int, ...]]]:
    """Shapes of the first input of every run, by the file name of the graph, in order of opening."""
    runs: dict[str, list[tuple[int, ...]]] = {}

    def noting_open(graph: Path, **options: Any) -> Any:
        assert graph.name not in runs, "an engine that is open must not be opened again"
        engine = open_onnxruntime(graph, **options)
        shapes = runs.setdefault(graph.name, [])
        run = engine.run

        def noting_run(inputs: Any) -> Any:
            shapes.append(next(iter(inputs.values())).shape)
            return run(inputs)

        engine.run = noting_run  # type: ignore[method-assign]
        return engine

    monkeypatch.setattr(tower_opening, "open_onnxruntime", noting_open)
    return runs


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many views went through an encoder at once, run by run."""
    sizes: list[int] = []
    run = OnnxRuntimeEngine.run

    def noting_run(self: OnnxRuntimeEngine, inputs: dict[str, Any]) -> Any:
        if "patches" in inputs:
            sizes.append(len(inputs["patches"]))
        return run(self, inputs)

    monkeypatch.setattr(OnnxRuntimeEngine, "run", noting_run)
    return sizes
