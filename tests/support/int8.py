"""Pictures to calibrate with, and looks into INT8 graphs, shared by the tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from PIL import Image

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import GraphKind
from uhd_edge.runtime.vision.encoder import VisionEncoder

MODES = ("16x", "4x")
KINDS: tuple[GraphKind, ...] = ("int8", "int8-tensorrt")


def draw_pictures(folder: Path, count: int, seed: int) -> list[Path]:
    """Blurred noise in colour: smooth areas and edges, some of it sliced, some not."""
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
    """Cosine of INT8 and FP32 of every view, through the encoder that users call."""
    with VisionEncoder(bundle, mode=mode, precision="int8") as tested, VisionEncoder(bundle, mode=mode) as exact:  # type: ignore[arg-type]
        found = []
        for picture in pictures:
            one, other = tested.encode(picture), exact.encode(picture)
            ends = np.cumsum([view.tokens for view in one.views])[:-1]
            for a, b in zip(np.split(one.embeddings, ends), np.split(other.embeddings, ends), strict=True):
                found.append(float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)))
    return found
