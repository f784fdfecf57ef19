"""FP8 graphs: which products are in FP8, and that each is the FP16 graph's own product with rounded numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from support.int8 import MODES, copy_of, draw_pictures, load, weights_of

from uhd_edge.calibration.calibrate import calibrate_bundle
from uhd_edge.runtime.bundles.int8_record import int8_verdict
from uhd_edge.runtime.errors import CalibrationError

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.calibration.calibrate import Calibrated
    from uhd_edge.runtime.bundles.bundle import Bundle

LINEARS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2", "linear_1", "linear_2")


@pytest.mark.parametrize("mode", MODES)
def test_only_products_with_weights_are_in_fp8_and_the_opset_is_the_same(fp8_tiny: Bundle, mode: str) -> None:
    model, _ = load(fp8_tiny, mode, "fp8")
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
    made_by = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        sources = [made_by[name].op_type if name in made_by else "constant" for name in node.input]
        if node.op_type != "MatMul":
            assert "DequantizeLinear" not in sources
        elif node.name.removesuffix("/MatMul").rpartition(".")[2] in LINEARS:
            assert sources == ["DequantizeLinear", "DequantizeLinear"]
        else:  # the patch embedding, and the products inside attention
            assert "DequantizeLinear" not in sources


def test_scales_are_fp16_powers_of_two_and_weights_are_the_fp16_graphs_own(fp8_tiny: Bundle) -> None:
    model, _ = load(fp8_tiny, "16x", "fp8")
    base, _ = load(fp8_tiny, "16x", "fp16")
    halves = weights_of(base)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = 0
    for node in model.graph.node:
        if node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
            continue
        scale = numpy_helper.to_array(constants[node.input[1]])
        assert (scale.dtype, scale.shape, np.frexp(scale)[0]) == (np.float16, (), 0.5)
        numbers = constants.get(node.input[0], constants.get(node.input[2]) if len(node.input) > 2 else None)
        assert numbers is not None
        assert numbers.data_type == TensorProto.FLOAT8E4M3FN
        if node.input[0] in constants:
            weights += 1
            # Both are made of the FP32 weight, and FP16's own rounding comes on top of the sixteenth.
            exact = halves[node.input[0].removesuffix("_quantized")].astype(np.float32)
            rounded = numpy_helper.to_array(numbers).astype(np.float32) * np.float32(scale)
            least = 2.0**-6 * float(scale)
            assert (np.abs(rounded - exact) <= np.maximum(np.abs(exact), least) * 0.064 + 2.0**-25).all()
    assert weights > 20


def test_products_that_tensorrt_may_join_have_the_same_scales(fp8_tiny: Bundle) -> None:
    model, _ = load(fp8_tiny, "16x", "fp8")
    constants = weights_of(model)
    scales = {node.output[0]: constants[node.input[1]] for node in model.graph.node if node.op_type[:2] == "De"}
    by_input: dict[str, set[float]] = {}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in scales:
            by_input.setdefault(node.input[0], set()).add(float(scales[node.input[1]]))
    assert len(by_input) < sum(node.op_type == "MatMul" and node.input[1] in scales for node in model.graph.node)
    assert {len(found) for found in by_input.values()} == {1}


def test_the_connector_is_the_fp16_graphs(fp8_tiny: Bundle) -> None:
    connectors = [load(fp8_tiny, "16x", kind)[1] for kind in ("fp8", "fp16")]
    one, other = (weights_of(connector) for connector in connectors)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_no_weight_of_fp8_is_infinite_or_nan(fp8_tiny: Bundle) -> None:
    model, _ = load(fp8_tiny, "16x", "fp8")
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT8E4M3FN:
            assert np.isfinite(numpy_helper.to_array(tensor).astype(np.float32)).all()
            assert numpy_helper.to_array(tensor).dtype == ml_dtypes.float8_e4m3fn


def test_fp8_alone_replaces_an_earlier_calibration_and_its_goal_is_its_own(
    calibrated: Calibrated, tmp_path: Path
) -> None:
    bundle = copy_of(calibrated.bundle, tmp_path / "bundle")
    found = calibrate_bundle(bundle, draw_pictures(tmp_path / "pictures", 2, seed=3), precisions=["fp8"], max_slices=1)
    found.bundle.check_files()
    assert found.bundle.describe_graphs() == "16x (fp32, fp16, fp8), 4x (fp32, fp16, fp8)"
    assert list(found.report.flavours) == ["fp8"]
    assert found.report.goal.cosine == pytest.approx(0.9984)
    steps = found.report.flavours["fp8"].steps
    assert [step.name for step in steps] == ["naive", "connector excluded", "biases", "layers excluded"]
    assert steps[2].taken
    assert steps[2].agreement.lowest_cosine > steps[1].agreement.lowest_cosine
    assert int8_verdict(found.bundle, "fp8").verified
    on_disk = {path.name for path in (found.bundle.path / "graphs").iterdir()}
    assert not any("int8" in name for name in on_disk)


def test_a_bundle_without_fp16_cannot_be_calibrated_in_fp8(fp8_tiny: Bundle, tmp_path: Path) -> None:
    bundle = copy_of(fp8_tiny, tmp_path / "bundle")
    graphs = {mode: {"fp32": by_kind["fp32"]} for mode, by_kind in bundle.manifest.graphs.items()}
    without = type(bundle)(bundle.path, bundle.manifest.model_copy(update={"graphs": graphs}))
    with pytest.raises(CalibrationError, match="FP8 calibration needs FP16 graphs"):
        calibrate_bundle(without, draw_pictures(tmp_path / "pictures", 1, seed=3), precisions=["fp8"])
