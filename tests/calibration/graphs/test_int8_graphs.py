"""INT8 graphs: what is quantized, with which numbers, and what they share."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.torch import load_file, save_file
from support.int8 import KINDS, MODES, load, weights_of

from uhd_edge.calibration.calibrate import Calibrated, calibrate_bundle
from uhd_edge.engines.processor import FITTING_SUMS
from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import GraphKind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_only_products_with_weights_are_quantized(calibrated: Calibrated, mode: str, kind: GraphKind) -> None:
    kept = set(calibrated.report.flavours[kind].put_back)
    for model in load(calibrated.bundle, mode, kind):
        onnx.checker.check_model(model, full_check=True)
        made_by = {output: node for node in model.graph.node for output in node.output}
        constants = {tensor.name for tensor in model.graph.initializer}
        rounded = {name for name, node in made_by.items() if node.op_type == "DequantizeLinear"}
        assert {node.op_type for node in model.graph.node if rounded & {*node.input}} <= {"MatMul"}
        for node in model.graph.node:
            if node.op_type != "MatMul":
                continue
            sources = [made_by[name].op_type if name in made_by else "constant" for name in node.input]
            module = node.name.removesuffix("/MatMul").rpartition(".")[2]
            if module == "patch_embedding" or node.name.removesuffix("/MatMul") in kept:
                assert node.input[1] in constants
            elif module == "self_attn" or node.name.endswith("/MatMul_1"):
                assert "DequantizeLinear" not in sources
            else:
                assert sources == ["DequantizeLinear", "DequantizeLinear"]


def test_what_tensorrt_gets_is_symmetric_int8_on_fp16_with_one_scale_a_weight_and_a_factor_a_channel(
    calibrated: Calibrated,
) -> None:
    for mode in MODES:
        for model in load(calibrated.bundle, mode, "int8-tensorrt"):
            constants = weights_of(model)
            for node in model.graph.node:
                if node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
                    continue
                scale = constants[node.input[1]]
                assert scale.dtype == np.float16
                assert (scale > 0).all()
                if node.input[0] in constants:
                    weight = constants[node.input[0]]
                    assert weight.dtype == np.int8
                    assert scale.shape == ()
                    assert np.frexp(scale)[0] == 0.5  # a power of two
                    name = node.input[0].removesuffix("_quantized")
                    halves, fulls = constants.get(f"{name}_factors"), constants.get(f"{name}.scales")
                    factors = fulls if halves is None else halves
                    assert factors is not None
                    assert factors.dtype == (np.float32 if halves is None else np.float16)
                    assert factors.shape == weight.shape[1:]
                    assert np.abs(weight.astype(int)).max(axis=0).min() >= 126  # all of the range is used
                else:
                    zero = constants[node.input[2]]
                    assert scale.shape == zero.shape == ()
                    assert zero.dtype == np.int8
                    assert zero == 0


def test_the_cpu_gets_uint8_activations_and_int8_weights(calibrated: Calibrated) -> None:
    encoder, _ = load(calibrated.bundle, "16x", "int8")
    constants = weights_of(encoder)
    zeros = [constants[node.input[2]] for node in encoder.graph.node if node.op_type == "QuantizeLinear"]
    assert {zero.dtype for zero in zeros} == {np.dtype(np.uint8)}


def test_no_two_neighbouring_products_of_the_cpus_graph_exceed_16_bits_and_it_says_so(calibrated: Calibrated) -> None:
    encoder, _ = load(calibrated.bundle, "16x", "int8")
    assert FITTING_SUMS in {entry.key for entry in encoder.metadata_props}
    quantized = [array.astype(int) for name, array in weights_of(encoder).items() if name.endswith("_quantized")]
    assert quantized
    for numbers in quantized:
        pairs = 255 * numbers.reshape(-1, 2, numbers.shape[1])
        assert np.maximum(pairs, 0).sum(axis=1).max() < 2**15
        assert np.minimum(pairs, 0).sum(axis=1).min() >= -(2**15)


def test_a_graph_for_tensorrt_has_no_need_of_that_and_does_not_say_so(calibrated: Calibrated) -> None:
    encoder, _ = load(calibrated.bundle, "16x", "int8-tensorrt")
    assert not encoder.metadata_props


@pytest.mark.parametrize("kind", KINDS)
def test_the_connector_is_left_as_it_is(calibrated: Calibrated, kind: GraphKind) -> None:
    _, connector = load(calibrated.bundle, "16x", kind)
    _, base = load(calibrated.bundle, "16x", "fp32" if kind == "int8" else "fp16")
    assert [node.op_type for node in connector.graph.node] == [node.op_type for node in base.graph.node]
    weights = weights_of(base)
    assert all(np.array_equal(array, weights[name]) for name, array in weights_of(connector).items())


@pytest.mark.parametrize("kind", KINDS)
def test_both_modes_have_one_encoder_and_one_weight_file(calibrated: Calibrated, kind: GraphKind) -> None:
    compressed, plain = (calibrated.bundle.graphs(mode, kind)[0] for mode in MODES)  # type: ignore[arg-type]
    assert compressed == plain
    assert {calibrated.bundle.manifest.graphs[mode][kind].both_modes for mode in MODES} == {True}  # type: ignore[index]
    tensors = onnx.load(plain, load_external_data=False).graph.initializer
    places = [{entry.key: entry.value for entry in tensor.external_data} for tensor in tensors if tensor.external_data]
    assert {place["location"] for place in places} == {f"encoder-{kind}.weights"}


def test_a_layer_that_the_fp16_graph_keeps_in_fp32_gets_fp32_scales(
    qwen3_checkpoint: Path, qwen3_bundle: Bundle, calibration_pictures: Path, tmp_path: Path
) -> None:
    pictures = [calibration_pictures / name for name in ("0.png", "1.png")]
    checkpoint = Path(shutil.copytree(qwen3_checkpoint, tmp_path / "checkpoint"))
    tensors = load_file(checkpoint / "model.safetensors")
    scope = "model.vision_tower.encoder.layers.1.self_attn"
    tensors[f"{scope}.q_proj.weight"] *= 1e4
    tensors[f"{scope}.q_proj.bias"] *= 1e4
    tensors[f"{scope}.k_proj.weight"] /= 1e4
    tensors[f"{scope}.k_proj.bias"] /= 1e4
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    bundle = export_bundle(checkpoint, tmp_path / "bundle", llm=qwen3_bundle.llm_path)
    calibrated = calibrate_bundle(bundle, pictures, max_slices=1, threads=1)
    encoder, _ = load(calibrated.bundle, "16x", "int8-tensorrt")
    onnx.checker.check_model(encoder, full_check=True)
    scales = {name: array.dtype for name, array in weights_of(encoder).items() if name.endswith(".weight_scales")}
    assert scales == {"vision_tower.encoder.layers.1.self_attn.q_proj.weight_scales": np.float32}
    assert weights_of(encoder)["vision_tower.encoder.layers.1.self_attn.v_proj.weight_scale"].dtype == np.float16
    assert calibrated.report.flavours["int8-tensorrt"].steps[0].agreement.lowest_cosine > 0.99
