"""Attention that is fused while a graph is opened: what is replaced, what is not, and that the numbers stay."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from uhd_edge.engines.engine import Array
from uhd_edge.engines.fusing.attention import with_fused_attention
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import GraphKind


def encoder(kind: GraphKind = "fp32") -> Path:
    return Bundle.open().graphs("16x", kind)[0]


def operators(content: bytes) -> Counter[str]:
    model = onnx.load_from_string(content)
    return Counter(node.op_type for node in model.graph.node)


def returning(value: str, folder: Path) -> Path:
    """A copy of the encoder that also returns `value`."""
    for file in encoder().parent.glob("encoder-fp32.*"):
        shutil.copy(file, folder)
    file = folder / encoder().name
    model = onnx.load(file, load_external_data=False)
    model.graph.output.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, None))
    file.write_bytes(model.SerializeToString())
    return file


def test_every_attention_of_patches_is_one_operator_and_that_within_windows_is_as_it_was() -> None:
    plain, content = operators(encoder().read_bytes()), with_fused_attention(encoder())
    assert content is not None
    fused, layers = operators(content), plain["Softmax"] - 1
    assert layers >= 2
    assert (fused["MultiHeadAttention"], fused["Softmax"]) == (layers, 1)
    assert plain["MatMul"] - fused["MatMul"] == 2 * layers
    (ours,) = (one for one in onnx.load_from_string(content).opset_import if one.domain)
    assert (ours.domain, ours.version) == ("com.microsoft", 1)


@pytest.mark.parametrize("uncompressed", [0, 36], ids=["16x", "4x"])
def test_an_engine_returns_what_onnx_runtime_returns_for_the_plain_file(uncompressed: int) -> None:
    random = np.random.default_rng(3)
    inputs: dict[str, Array] = {
        "patches": random.normal(size=(2, 144, 588)).astype(np.float32),
        "position_ids": random.integers(0, 100, (2, 144)),
        "uncompressed": np.zeros((2, uncompressed), np.int64),
    }
    plain = onnxruntime.InferenceSession(encoder(), providers=["CPUExecutionProvider"])
    (expected,) = plain.run(None, inputs)
    with OnnxRuntimeEngine(encoder(), threads=2) as engine:
        found = engine.run(inputs)["features"]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_attention_stays_where_the_graph_returns_its_scores(tmp_path: Path) -> None:
    model = onnx.load(encoder(), load_external_data=False)
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    content = with_fused_attention(returning(softmax.output[0], tmp_path))
    assert content is not None
    assert (
        operators(content)["MultiHeadAttention"]
        == operators(with_fused_attention(encoder()) or b"")["MultiHeadAttention"] - 1
    )
    with OnnxRuntimeEngine(tmp_path / encoder().name) as engine:
        assert engine.provider == "CPUExecutionProvider"


def test_graphs_without_it_in_fp16_or_damaged_are_left_to_onnx_runtime(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(encoder().read_bytes()[:-7])
    connector = Bundle.open().graphs("16x", "fp32")[1]
    for file in (connector, encoder("fp16"), damaged, tmp_path / "missing.onnx"):
        assert with_fused_attention(file) is None
