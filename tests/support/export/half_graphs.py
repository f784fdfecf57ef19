"""Writes the FP16 graphs of a changed checkpoint, runs them, and reads the types in them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator
from safetensors.torch import load_file, save_file

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.graphs.graphs import write_graphs

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LAYERS = "model.vision_tower.encoder.layers"
HALF, FULL, WHOLE = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
PATCHES = 16


def write_graphs_of(checkpoint: Path, target: Path) -> Path:
    with open_checkpoint(checkpoint) as opened:
        write_graphs(opened, target, modes=["16x", "4x"], precisions=["fp32", "fp16"], progress=lambda _: None)
    return target / "graphs"


def changed_copy(checkpoint: Path, target: Path, factors: dict[str, float], channels: slice = slice(None)) -> Path:
    """A copy of the checkpoint in which some output channels of some tensors are multiplied by a factor."""
    shutil.copytree(checkpoint, target)
    tensors = load_file(target / "model.safetensors")
    for name, factor in factors.items():
        tensors[name][channels] *= factor
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def view(mode: str = "16x") -> dict[str, NDArray[np.generic]]:
    random = np.random.default_rng(5)
    return {
        "patches": random.uniform(-1, 1, (2, PATCHES, 588)).astype(np.float32),
        "position_ids": random.integers(0, 64, (2, PATCHES)),
        "uncompressed": np.zeros((2, 0 if mode == "16x" else PATCHES // 4), np.int64),
    }


def run(file: Path, inputs: dict[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    output: NDArray[np.float32] = onnxruntime.InferenceSession(file).run(None, inputs)[0]
    return output


def run_strictly(file: Path, inputs: dict[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    """Run each operator in exactly the type that the graph says, as a strongly typed engine does.

    ONNX Runtime would not: on a CPU it computes FP16 in FP32, and removes Casts that it considers
    unnecessary.
    """
    output: NDArray[np.float32] = ReferenceEvaluator(onnx.load(file)).run(None, inputs)[0]
    return output


def cosine(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    one, other = ours.astype(np.float64), theirs.astype(np.float64)
    return float((one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other))


def types_in(file: Path) -> tuple[onnx.ModelProto, dict[str, int]]:
    model = onnx.shape_inference.infer_shapes(onnx.load(file), check_type=True, strict_mode=True)
    graph = model.graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        types[value.name] = value.type.tensor_type.elem_type
    return model, types
