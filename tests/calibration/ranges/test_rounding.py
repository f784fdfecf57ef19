"""INT8 numbers are those of ONNX's own operators and of ONNX Runtime's quantization tool."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization.quant_utils import quantize_data

from uhd_edge.calibration.ranges.activations import Activations
from uhd_edge.calibration.ranges.layer_error import layer_errors, products, rounded_weights
from uhd_edge.calibration.ranges.ranges import choose_range, full_range
from uhd_edge.calibration.ranges.rounding import (
    Range,
    half_scales,
    quantize_weight,
    round_activation,
    weight_scales,
)
from uhd_edge.calibration.ranges.smoothing import choose_smoothing, smoothing_factors

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBERS = st.floats(-1e4, 1e4, width=32)


def round_trip(values: NDArray[np.float32], scale: np.float32, zero: NDArray[np.generic]) -> NDArray[np.float32]:
    """QuantizeLinear and DequantizeLinear by ONNX's reference implementation."""
    kind = TensorProto.UINT8 if zero.dtype == np.uint8 else TensorProto.INT8
    inputs = [
        helper.make_tensor_value_info("values", TensorProto.FLOAT, ["n"]),
        helper.make_tensor_value_info("scale", TensorProto.FLOAT, []),
        helper.make_tensor_value_info("zero", kind, []),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["values", "scale", "zero"], ["rounded"]),
        helper.make_node("DequantizeLinear", ["rounded", "scale", "zero"], ["back"]),
    ]
    output = helper.make_tensor_value_info("back", TensorProto.FLOAT, ["n"])
    model = helper.make_model(helper.make_graph(nodes, "trip", inputs, [output]))
    onnx.checker.check_model(model)
    return ReferenceEvaluator(model).run(None, {"values": values, "scale": np.array(scale), "zero": zero})[0]  # type: ignore[no-any-return]


@settings(max_examples=60, deadline=None)
@given(values=st.lists(NUMBERS, min_size=1, max_size=20), low=st.floats(-1e4, 0), high=st.floats(1, 1e4))
def test_activations_round_as_quantize_linear_does(values: list[float], low: float, high: float) -> None:
    array, span = np.array(values, np.float32), Range(low, high, "max")
    expected = round_trip(array, span.symmetric_scale(), np.array(0, np.int8))
    np.testing.assert_array_equal(round_activation(array, span, symmetric=True), expected)
    scale, zero = span.asymmetric()
    expected = round_trip(array, scale, np.array(zero))
    np.testing.assert_array_equal(round_activation(array, span, symmetric=False), expected)


def test_weights_and_scales_are_those_of_onnxruntimes_tool() -> None:
    weight = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float32)
    scales = weight_scales(weight)
    numbers = quantize_weight(weight, scales)
    for channel in range(7):
        _, scale, theirs = quantize_data(weight[:, channel], TensorProto.INT8, symmetric=True)
        assert scales[channel] == pytest.approx(float(scale), rel=1e-6)
        np.testing.assert_array_equal(numbers[:, channel], theirs)
        assert np.abs(numbers[:, channel]).max() == 127


def test_a_channel_of_zeros_and_a_tensor_of_zeros_have_a_scale() -> None:
    weight = np.zeros((4, 2), np.float32)
    weight[:, 0] = 1
    scales = weight_scales(weight)
    assert (scales > 0).all()
    assert not quantize_weight(weight, scales)[:, 1].any()
    nothing = Range(0.0, 0.0, "max")
    assert nothing.symmetric_scale() > 0
    assert nothing.asymmetric()[0] > 0


def test_scales_in_fp16_never_clip_a_weight() -> None:
    scales = np.geomspace(1e-7, 100, 999).astype(np.float32)
    half = half_scales(scales).astype(np.float32)
    assert (half >= scales).all()
    normal = scales > 2.0**-14
    assert (half[normal] <= scales[normal] * (1 + 2.0**-10)).all()


def activations(rows: NDArray[np.float32], extremes: int = 4) -> Activations:
    largest = rows[np.argsort(np.abs(rows).max(axis=1))[-extremes:]]
    return Activations(rows.min(axis=0), rows.max(axis=0), rows, largest)


def seen_and_unseen(outlier: float) -> tuple[Activations, dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    random = np.random.default_rng(0)
    rows = random.standard_normal((600, 32)).astype(np.float32)
    rows[:, 5] *= outlier
    weight = random.standard_normal((32, 16)).astype(np.float32)
    weight[5] /= outlier
    sample = rows[:300]
    return activations(sample), {"linear": weight}, rows[300:]


def test_smoothing_takes_an_outlier_channel_into_the_weights() -> None:
    seen, weights, unseen = seen_and_unseen(30)
    smoothing = choose_smoothing(seen, weights, unseen)
    assert smoothing.factors is not None
    assert smoothing.factors.argmax() == 5
    divided = seen.divided(smoothing.factors)
    smoothed = {"linear": weights["linear"] * smoothing.factors[:, None]}
    np.testing.assert_allclose(divided.sample @ smoothed["linear"], seen.sample @ weights["linear"], atol=1e-4)
    exact = products(unseen, weights)
    plain, moved = (rounded_weights(each, symmetric=True) for each in (weights, smoothed))
    (before,) = layer_errors(unseen, plain, exact, full_range(seen), symmetric=True).values()
    (after,) = layer_errors(unseen / smoothing.factors, moved, exact, full_range(divided), symmetric=True).values()
    assert after < before / 5


def test_smoothing_follows_the_papers_equation() -> None:
    peaks, weight = np.float32([1, 4, 16]), np.float32([[1, -2], [0.5, 0.25], [8, 1]])
    factors = smoothing_factors(peaks, {"linear": weight}, 0.5)
    expected = np.sqrt(peaks) / np.sqrt([2, 0.5, 8])
    np.testing.assert_allclose(factors / factors[0], expected / expected[0], rtol=1e-6)


def test_a_channel_that_carries_nothing_keeps_its_factor() -> None:
    factors = smoothing_factors(np.float32([0, 2, 3]), {"linear": np.float32([[1], [0], [5]])}, 0.7)
    np.testing.assert_array_equal(factors, 1)


def test_one_wild_number_is_clipped_when_nobody_meets_its_like_again() -> None:
    seen, weights, unseen = seen_and_unseen(1)
    wild = replace(seen, highs=np.maximum(seen.highs, np.float32(500)))
    for symmetric in (True, False):
        chosen = choose_range(wild, weights, activations(unseen), symmetric=symmetric)
        assert 3 < chosen.high < 20
        hard = unseen.copy()
        hard[::3, 0] = 500
        assert choose_range(wild, weights, activations(hard), symmetric=symmetric).high == pytest.approx(525)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_narrower_range_that_gains_little_is_not_taken(symmetric: bool) -> None:
    seen, weights, unseen = seen_and_unseen(1)
    wide = replace(seen, highs=1.1 * seen.highs, lows=1.1 * seen.lows)  # as other pictures may need it
    rows = np.concatenate([activations(unseen).rows, seen.extremes])
    exact, rounded = products(rows, weights), rounded_weights(weights, symmetric=symmetric)
    needed = Range(float(rows.min()), float(rows.max()), "max")
    errors = [
        layer_errors(rows, rounded, exact, span, symmetric=symmetric)["linear"] for span in (full_range(wide), needed)
    ]
    assert errors[0] / 1.25 < errors[1] < errors[0]
    chosen = choose_range(wide, weights, activations(unseen), symmetric=symmetric)
    assert (chosen.method, chosen.high) == ("max", pytest.approx(1.05 * max(wide.highs.max(), unseen.max())))


def test_rows_too_rare_for_a_sample_keep_a_range_from_clipping_them() -> None:
    seen, weights, unseen = seen_and_unseen(1)
    rare = 12 * unseen[:4]
    highs, calm = np.maximum(seen.highs, rare.max(axis=0)), activations(unseen)
    met = replace(seen, highs=highs, lows=np.minimum(seen.lows, rare.min(axis=0)), extremes=rare)
    for symmetric in (True, False):
        assert choose_range(met, weights, calm, symmetric=symmetric).high > 0.8 * rare.max()
        unmet = replace(met, extremes=seen.extremes)
        assert choose_range(unmet, weights, calm, symmetric=symmetric).high < 0.5 * rare.max()
