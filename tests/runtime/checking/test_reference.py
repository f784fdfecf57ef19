"""What engines are compared with: FP32 graphs, or FP16 ones where a bundle has no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.telling_bundle import telling_bundle

from uhd_edge.cli.commands.verify import _text
from uhd_edge.engines.errors import EngineUnavailableError
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Manifest
from uhd_edge.runtime.checking.verify import VerificationReport, verify_bundle
from uhd_edge.runtime.modes import Precision
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.encoding import encode_views
from uhd_edge.runtime.vision.reference import reference_engines
from uhd_edge.runtime.vision.slicing import plan_views, slice_image

PICTURE = Image.effect_noise((300, 200), 80).convert("RGB")


def listed_as(bundle: Bundle, *kinds: str) -> Bundle:
    """The bundle with its FP32 graphs of 16x listed as these alone."""
    manifest = bundle.manifest.model_dump()
    manifest["graphs"] = {"16x": dict.fromkeys(kinds, manifest["graphs"]["16x"]["fp32"])}
    return Bundle(bundle.path, Manifest.model_validate(manifest))


def verified(bundle: Bundle, precision: Precision) -> VerificationReport:
    return verify_bundle(bundle, precision=precision, images=[PICTURE], question=None, threads=1)


def test_a_bundle_without_fp32_and_fp16_graphs_has_no_reference(tmp_path: Path) -> None:
    bundle = listed_as(telling_bundle(tmp_path / "eight"), "int8")
    with pytest.raises(EngineUnavailableError, match=r"no 16x graphs in fp32; the bundle has 16x \(int8\)"):
        verified(bundle, "int8")


def test_one_tower_at_a_time_is_held_open(qwen3_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the real size, such as the reference and what is compared, or both modes, would be 4.4 GB."""
    counts: list[int] = []
    held: set[int] = set()
    opening, closing = OnnxRuntimeEngine.__init__, OnnxRuntimeEngine.close

    def opened(engine: OnnxRuntimeEngine, graph: Path, **options: Any) -> None:
        opening(engine, graph, **options)
        held.add(id(engine))
        counts.append(len(held))

    def closed(engine: OnnxRuntimeEngine) -> None:
        closing(engine)
        held.discard(id(engine))

    monkeypatch.setattr(OnnxRuntimeEngine, "__init__", opened)
    monkeypatch.setattr(OnnxRuntimeEngine, "close", closed)
    verify_bundle(qwen3_bundle, precision="fp16", images=[PICTURE], question=None, threads=1)
    assert counts == [1, 2] * 4  # encoder and connector: FP32 and FP16 of 16x, then of 4x
    assert held == set()


def test_without_fp32_graphs_an_engine_is_compared_with_fp16_and_that_is_said(tmp_path: Path) -> None:
    bundle = listed_as(telling_bundle(tmp_path / "half"), "fp16", "int8")
    report = verified(bundle, "int8")
    lines = _text(report, [], [])
    assert lines[:2] == [
        f"16x: int8 on {report.verified[0].provider}, compared with FP16 on ONNX Runtime's CPU",
        "The bundle has no FP32 graphs; what rounding its weights to FP16 costs is not in these figures.",
    ]
    assert "That is the reference itself; choose a --precision or an --engine to compare." not in lines
    assert "That is the reference itself; choose a --precision or an --engine to compare." in _text(
        verified(bundle, "fp16"), [], []
    )


def test_fp16_graphs_on_the_cpu_are_near_enough_to_fp32_to_be_a_reference() -> None:
    """Fifty times nearer than the threshold that an FP16 engine has to reach."""
    whole = Bundle.open()
    halves = whole.manifest.model_dump()
    for graphs in halves["graphs"].values():
        del graphs["fp32"]
    half = Bundle(whole.path, Manifest.model_validate(halves))
    for mode in whole.manifest.graphs:
        plan = plan_views(*PICTURE.size, whole.manifest.preprocessing, mode=mode, max_slices=2)
        views = slice_image(PICTURE, plan).views
        with reference_engines(half, mode, 1) as given, VisionEncoder(whole, precision="fp32", threads=1) as encoder:
            assert given.precision == "fp16"
            expected = np.concatenate(encode_views(encoder.open_mode(mode), views, {}))
            found = np.concatenate(encode_views(given, views, {}))
        cosines = (expected * found).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
        assert 1 - cosines.min() < (1 - whole.manifest.thresholds.fp16.cosine) / 50
