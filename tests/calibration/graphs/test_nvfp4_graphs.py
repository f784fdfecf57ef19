"""NVFP4 graphs: which products are in blocks of 4-bit numbers, how they are stored, and what is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from PIL import Image
from support.int8 import MODES, load, weights_of
from support.places import EXAMPLES

from uhd_edge.calibration.ranges.nvfp4 import nvfp4_scale, round_to_nvfp4
from uhd_edge.calibration.simulation.simulate import simulate_bundle
from uhd_edge.runtime.errors import EngineUnavailableError
from uhd_edge.runtime.vision.encoder import VisionEncoder

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle

IN_BLOCKS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


def test_the_towers_products_are_in_blocks_and_nothing_else_is(fp8_tiny: Bundle) -> None:
    model, _ = load(fp8_tiny, "16x", "nvfp4")
    assert {(opset.domain, opset.version) for opset in model.opset_import} == {("", 23), ("trt", 1)}
    made_by = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        if node.op_type != "MatMul":
            continue
        sources = [made_by[name].op_type if name in made_by else "constant" for name in node.input]
        origins = [made_by.get(made_by[name].input[0]) if name in made_by else None for name in node.input]
        dequantized = [origin is not None and origin.op_type == "DequantizeLinear" for origin in origins]
        scope, _, module = node.name.removesuffix("/MatMul").rpartition(".")
        if module in IN_BLOCKS and "vit_merger" not in scope:
            assert (sources, dequantized) == (["Cast", "Cast"], [True, True])
        else:
            assert dequantized == [False, False]


@pytest.mark.parametrize("kind", ["fp8", "fp16"])
def test_the_other_graphs_keep_their_opset(fp8_tiny: Bundle, kind: str) -> None:
    for model in load(fp8_tiny, "16x", kind):  # type: ignore[arg-type]
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]


def test_stored_weights_read_by_onnx_are_the_fp16_graphs_rounded(fp8_tiny: Bundle) -> None:
    model, _ = load(fp8_tiny, "16x", "nvfp4")
    base, _ = load(fp8_tiny, "16x", "fp16")
    exact, stored = weights_of(base), weights_of(model)
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    names = [name.removesuffix("_levels") for name in stored if name.endswith(".weight_levels")]
    assert len(names) > 20
    for name in names:
        assert types[f"{name}_levels"] == TensorProto.FLOAT4E2M1
        assert types[f"{name}_scales"] == TensorProto.FLOAT8E4M3FN
        scales = stored[f"{name}_scales"].astype(np.float32) * stored[f"{name}_scale"]
        values = stored[f"{name}_levels"].astype(np.float32) * np.repeat(scales, 16, axis=0)
        expected = round_to_nvfp4(exact[name].astype(np.float32).T, stored[f"{name}_scale"]).T
        # From the FP32 weight, which FP16 has rounded: now and then the neighbouring number.
        assert np.mean(values != expected) < 0.01


def test_products_that_tensorrt_may_join_have_the_same_scales(fp8_tiny: Bundle) -> None:
    stored = weights_of(load(fp8_tiny, "16x", "nvfp4")[0])
    scope = "vision_tower.encoder.layers.0.self_attn"
    one, *others = (stored[f"{scope}.{name}.weight_scale"] for name in ("q_proj", "k_proj", "v_proj"))
    assert others == [one, one]
    assert one == max(
        nvfp4_scale(float(np.abs(weights_of(load(fp8_tiny, "16x", "fp32")[0])[f"{scope}.{name}.weight"]).max()))
        for name in ("q_proj", "k_proj", "v_proj")
    )


def test_the_graph_is_one_that_onnx_takes(fp8_tiny: Bundle) -> None:
    file, _ = fp8_tiny.graphs("16x", "nvfp4")
    onnx.checker.check_model(str(file))


def test_uhd_tiny_loses_so_much_that_auto_does_not_take_it_but_no_sum_overflows(fp8_tiny: Bundle) -> None:
    pictures = {"bench.png": Image.open(EXAMPLES / "bench.png").convert("RGB")}
    for simulation in simulate_bundle(fp8_tiny, pictures, kind="nvfp4", modes=MODES, max_slices=1):
        assert simulation.numbers == "NVFP4"
        assert simulation.overflow == 0
        assert simulation.sums > 100_000
        assert 0.97 < simulation.agreement.lowest_cosine < fp8_tiny.manifest.thresholds.fp8.cosine
    with pytest.raises(EngineUnavailableError, match="NVFP4 graphs run on TensorRT alone"):
        VisionEncoder(fp8_tiny, precision="nvfp4")
