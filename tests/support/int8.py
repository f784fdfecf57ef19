"""For INT8: pictures to calibrate with, graphs and their weights, a graph that overflows, marks for processors."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from uhd_edge.calibration.ranges.pairs import quantize_pairs
from uhd_edge.engines.processor import FITTING_SUMS, Processor, this_processor
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import GraphKind
from uhd_edge.runtime.vision.encoder import VisionEncoder

MODES = ("16x", "4x")
KINDS: tuple[GraphKind, ...] = ("int8", "int8-tensorrt")

SCALE, WIDTH = 0.5, 64  # scale and input width of the graph whose products overflow

# A test that depends on an instruction set needs a second test for the other case.
HERE = this_processor()
WITH_VNNI = Processor("x86_64", frozenset({"avx2", "avx_vnni"}))
WITHOUT_VNNI = Processor("x86_64", frozenset({"avx2"}))

# On x86 processors without AVX2, ONNX Runtime uses other instructions for INT8, which are slow and exact.
SATURATES = HERE.int8_saturates and "avx2" in HERE.features

where_int8_saturates = pytest.mark.skipif(not SATURATES, reason="this processor adds up INT8 products in 32 bits")
where_int8_is_exact = pytest.mark.skipif(SATURATES, reason="this processor adds up INT8 products in 16 bits")


def draw_pictures(folder: Path, count: int, seed: int) -> list[Path]:
    """Draw pictures of blurred, coloured noise, with smooth areas and edges. Some are large enough to be sliced."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    pictures = []
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (6, 7, 3), dtype=np.uint8))
        pictures.append(folder / f"{index}.png")
        coarse.resize((150, 110) if index % 2 else (224, 170), Image.Resampling.BICUBIC).save(pictures[-1])
    return pictures


def copy_of(bundle: Bundle, folder: Path) -> Bundle:
    return Bundle.open(shutil.copytree(bundle.path, folder))


def load(bundle: Bundle, mode: str, kind: GraphKind) -> list[onnx.ModelProto]:
    return [onnx.load(file) for file in bundle.graphs(mode, kind)]  # type: ignore[arg-type]


def weights_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def cosines(bundle: Bundle, pictures: list[Path], mode: str) -> list[float]:
    """The cosine between INT8 and FP32 embeddings for every view, through the encoder that users use."""
    with (
        VisionEncoder(bundle, mode=mode, precision="int8") as tested,  # type: ignore[arg-type]
        VisionEncoder(bundle, mode=mode, precision="fp32") as exact,  # type: ignore[arg-type]
    ):
        found = []
        for picture in pictures:
            one, other = tested.encode(picture), exact.encode(picture)
            ends = np.cumsum([view.tokens for view in one.views])[:-1]
            for a, b in zip(np.split(one.embeddings, ends), np.split(other.embeddings, ends), strict=True):
                found.append(float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)))
    return found


def weight() -> NDArray[np.int8]:
    """[64, 8]: in some columns the sums of two neighbours overflow, upwards or downwards, in others they do not."""
    random = np.random.default_rng(0)
    columns = [np.full(WIDTH, 127), np.full(WIDTH, -127), *random.integers(-127, 128, (4, WIDTH))]
    columns += list(random.integers(-63, 64, (2, WIDTH)))
    return np.stack(columns, axis=1).astype(np.int8)


def fitting_weight() -> NDArray[np.int8]:
    """`weight` as calibration limits it, so that no sum of two neighbours overflows."""
    return quantize_pairs(weight().astype(np.float32), np.ones(8, np.float32))


def true_product(x: NDArray[np.float32], *, fitting: bool = False) -> NDArray[np.float32]:
    """The exact result of the graph for x [rows, 64], computed with numpy's integers."""
    levels = np.clip(np.rint(x / SCALE), 0, 255).astype(np.int64)
    numbers = fitting_weight() if fitting else weight()
    return ((levels @ numbers.astype(np.int64)) * SCALE).astype(np.float32)


def rows(count: int) -> NDArray[np.float32]:
    """Activations [count, 64] of all sizes up to the largest uint8."""
    return np.random.default_rng(1).integers(100, 256, (count, WIDTH)).astype(np.float32) * np.float32(SCALE)


def save_saturating(file: Path, *, fused: bool, fitting: bool = False) -> Path:
    """Write a graph x [N, 64] -> y [N, 8]: Q/DQ around a MatMul, or (`fused`) ONNX Runtime's own operator.

    With `fitting` its weight is the one that does not overflow, and the graph says so.
    """
    quantized = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["levels"])
    one_operator = helper.make_node(
        "MatMulIntegerToFloat",
        ["levels", "weight", "scale", "scales", "zero"],
        ["y"],
        domain="com.microsoft",
    )
    standard = [
        helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["rounded"]),
        helper.make_node("DequantizeLinear", ["weight", "scales"], ["matrix"], axis=1),
        helper.make_node("MatMul", ["rounded", "matrix"], ["y"]),
    ]
    constants = {
        "scale": np.array(SCALE, np.float32),
        "zero": np.array(0, np.uint8),
        "weight": fitting_weight() if fitting else weight(),
        "scales": np.ones(8, np.float32),
    }
    graph = helper.make_graph(
        [quantized, one_operator] if fused else [quantized, *standard],
        "saturating",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    if fitting:
        helper.set_model_props(model, {FITTING_SUMS: "yes"})
    onnx.save(model, file)
    return file
