"""Whether `uhd verify` finds INT8 that overflows on the processor at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image
from support.int8 import WITH_VNNI, where_int8_is_exact, where_int8_saturates
from support.telling_bundle import VALUES, encoder, telling_bundle

from uhd_edge.engines import onnxruntime as engine
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Manifest
from uhd_edge.runtime.checking.verify import VerificationReport, verify_bundle

# White patches are 1.0, the largest uint8, and the weights of a colour are all 127: every pair overflows.
CONSTANTS = {
    "scale": np.float32(1 / 127),
    "zero": np.uint8(128),
    "numbers": np.zeros((VALUES, 4), np.int8),
    "scales": np.full(4, 1 / 196 / 127, np.float32),
    "fourth": np.zeros(4, np.float32),  # position ids would hide the colours in every cosine
}
for channel in range(3):
    CONSTANTS["numbers"][channel * 196 : (channel + 1) * 196, channel] = 127


def colours(*, int8: bool) -> onnx.ModelProto:
    """The telling encoder of 16x without its positions, in FP32 or in INT8."""
    model = encoder("16x")
    graph = model.graph
    kept = [tensor for tensor in graph.initializer if tensor.name != "fourth"]
    del graph.initializer[:]
    graph.initializer.extend([*kept, numpy_helper.from_array(CONSTANTS["fourth"], "fourth")])
    if int8:
        steps = [
            helper.make_node("QuantizeLinear", ["patches", "scale", "zero"], ["levels"]),
            helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["rounded"]),
            helper.make_node("DequantizeLinear", ["numbers", "scales"], ["matrix"], axis=1),
            helper.make_node("MatMul", ["rounded", "matrix"], ["colours"]),
        ]
        others = list(graph.node)[1:]
        del graph.node[:]
        graph.node.extend([*steps, *others])
        names = ("scale", "zero", "numbers", "scales")
        graph.initializer.extend(numpy_helper.from_array(CONSTANTS[name], name) for name in names)
    return model


@pytest.fixture
def overflowing(tmp_path: Path) -> Bundle:
    bundle = telling_bundle(tmp_path / "overflowing")
    graphs = {}
    for kind in ("fp32", "int8"):
        onnx.save(colours(int8=kind == "int8"), bundle.path / f"graphs/encoder-16x-{kind}.onnx")
        graphs[kind] = {"encoder": f"graphs/encoder-16x-{kind}.onnx", "connector": "graphs/connector.onnx"}
    manifest = bundle.manifest.model_dump() | {"graphs": {"16x": graphs}}
    return Bundle(bundle.path, Manifest.model_validate(manifest))


def verified(bundle: Bundle) -> VerificationReport:
    picture = Image.radial_gradient("L").resize((120, 90)).convert("RGB")
    return verify_bundle(
        bundle, engine="onnxruntime", precision="int8", images=[picture, Image.new("RGB", (60, 60), "white")],
        question=None, threads=1,
    )  # fmt: skip


def test_int8_passes_on_this_processor_though_every_pair_of_products_is_larger_than_16_bits(
    overflowing: Bundle,
) -> None:
    report = verified(overflowing)
    assert report.passed, report.failures
    assert min(view.cosine for view in report.views) > 0.9999


@pytest.fixture
def uncured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an ONNX Runtime that does not know the session entry."""
    monkeypatch.setattr(engine, "this_processor", lambda: WITH_VNNI)


@where_int8_saturates
def test_a_bundle_that_overflows_on_this_processor_fails(overflowing: Bundle, uncured: None) -> None:
    report = verified(overflowing)
    assert not report.passed
    assert "16x: cosine" in report.failures[0]
    assert "is below 0.999" in report.failures[0]


@where_int8_is_exact
def test_a_bundle_cannot_overflow_on_this_processor_even_without_the_cure(overflowing: Bundle, uncured: None) -> None:
    assert verified(overflowing).passed
