"""Engines are opened when they are needed, once, and not for nothing."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.images.noise import photo
from support.telling_bundle import telling_bundle

from uhd_edge.engines.selection import open_onnxruntime
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import EngineError, ImageError
from uhd_edge.runtime.vision import opening as tower_opening
from uhd_edge.runtime.vision.encoder import VisionEncoder


def test_engines_are_opened_when_a_mode_is_first_used_and_the_connector_is_shared(
    bundle: Bundle, opened: dict[str, list[tuple[int, ...]]]
) -> None:
    with VisionEncoder(bundle, threads=1) as encoder_:
        assert list(opened) == []
        encoder_.encode(photo(50, 50))
        assert list(opened) == ["encoder-16x.onnx", "connector.onnx"]
        assert encoder_.encode(photo(50, 50), mode="4x").mode == "4x"
        encoder_.encode(photo(51, 50))
        assert list(opened) == ["encoder-16x.onnx", "connector.onnx", "encoder-4x.onnx"]
        assert len(opened["connector.onnx"]) == 3


def test_both_modes_of_an_exported_bundle_run_in_one_engine(opened: dict[str, list[tuple[int, ...]]]) -> None:
    with VisionEncoder(threads=1) as encoder:
        sixteen, four = (encoder.open_mode(mode) for mode in ("16x", "4x"))  # type: ignore[arg-type]
        assert list(opened) == ["encoder-fp32.onnx", "connector-fp32.onnx"]
        assert sixteen.encoder is four.encoder
        few, many = (len(encoder.encode(photo(224, 224), mode=mode).embeddings) for mode in ("16x", "4x"))  # type: ignore[arg-type]
    assert (few, many) == (16, 64)


def test_a_bad_image_is_told_before_an_engine_is_opened(
    bundle: Bundle, opened: dict[str, list[tuple[int, ...]]]
) -> None:
    with VisionEncoder(bundle) as encoder_, pytest.raises(ImageError, match="no such file"):
        encoder_.encode("nowhere.png")
    assert opened == {}


def test_an_engine_is_opened_once_for_all_threads(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    together = threading.Barrier(4)

    def slow_open(graph: Path, **options: Any) -> Any:
        opened.append(graph.name)
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(timeout=0.2)  # whoever else opens it gets the time to come here too
        return open_onnxruntime(graph, **options)

    monkeypatch.setattr(tower_opening, "open_onnxruntime", slow_open)
    found: list[np.ndarray] = []
    with VisionEncoder(bundle, threads=1) as encoder_:
        threads = [
            threading.Thread(target=lambda: found.append(encoder_.encode(photo(50, 50)).embeddings)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert opened == ["encoder-16x.onnx", "connector.onnx"]
    assert len(found) == 4
    assert all(np.array_equal(embeddings, found[0]) for embeddings in found)


def test_a_damaged_graph_is_an_error_of_ours(tmp_path: Path) -> None:
    damaged = telling_bundle(tmp_path / "damaged")
    (damaged.path / "graphs/encoder-16x.onnx").write_bytes(b"damaged")
    with (
        VisionEncoder(damaged, threads=1) as encoder_,
        pytest.raises(EngineError, match="cannot be opened"),
    ):
        encoder_.encode(photo(50, 50))
