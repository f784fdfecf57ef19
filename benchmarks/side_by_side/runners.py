"""The competitors of `encoding.py`. Each opens the same weights and turns a picture into embeddings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from lanes import Competitor
from numpy.typing import NDArray
from PIL import Image
from weights import Weights, post_vit_name

if TYPE_CHECKING:
    from uhd_edge.engines.names import EngineName
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import GraphKind
    from uhd_edge.runtime.modes import Precision

Embeddings: TypeAlias = NDArray[np.float32]
Encode: TypeAlias = "Callable[[NDArray[np.uint8]], Embeddings]"


@dataclass(frozen=True)
class Setting:
    """How to open a competitor. `site` is a folder that has llama-cpp-python, built with mtmd."""

    weights: Weights
    threads: int
    site: Path | None


def ours(engine: EngineName, precision: Precision, *, post_vit: bool = False) -> Callable[[Setting], Encode]:
    """Our own runtime, through the class that users use."""

    def open_ours(setting: Setting) -> Encode:
        from uhd_edge.runtime.bundles.bundle import Bundle
        from uhd_edge.runtime.vision.encoder import VisionEncoder
        from uhd_edge.runtime.vision.engine_choice import choices

        bundle = Bundle.open(setting.weights.bundle)
        if post_vit:
            (choice,) = choices(bundle, "16x", engine=engine, precision=precision, built=())
            bundle = with_post_vit(bundle, choice.kind)
        encoder = VisionEncoder(
            bundle, mode="16x", engine=engine, precision=precision, threads=setting.threads, cache_bytes=0
        )
        return lambda pixels: encoder.encode(pixels).embeddings

    return open_ours


def with_post_vit(bundle: Bundle, kind: GraphKind) -> Bundle:
    """Replace the encoder of `kind` by the one with the compressor after the last layer."""
    from uhd_edge.runtime.bundles.bundle import Bundle

    manifest = bundle.manifest
    graphs = manifest.graphs["16x"]
    changed = graphs[kind].model_copy(update={"encoder": post_vit_name(kind)})
    return Bundle(
        bundle.path, manifest.model_copy(update={"graphs": {**manifest.graphs, "16x": {**graphs, kind: changed}}})
    )


def openvino(kind: GraphKind, precision: str) -> Callable[[Setting], Encode]:
    """OpenVINO itself, with our graphs and our patches. For INT8 it runs the symmetric graph with its own defaults."""

    def open_openvino(setting: Setting) -> Encode:
        import openvino

        from uhd_edge.runtime.bundles.bundle import Bundle
        from uhd_edge.runtime.vision.slicing import plan_slices, slice_image

        bundle = Bundle.open(setting.weights.bundle)
        preprocessing = bundle.manifest.preprocessing
        core = openvino.Core()
        config = {"INFERENCE_NUM_THREADS": setting.threads}
        if precision:
            config["INFERENCE_PRECISION_HINT"] = precision
        encoder, connector = (core.compile_model(file, "CPU", config) for file in bundle.graphs("16x", kind))

        def encode(pixels: NDArray[np.uint8]) -> Embeddings:
            image = Image.fromarray(pixels)
            sliced = slice_image(image, plan_slices(*image.size, preprocessing, mode="16x"))
            return np.concatenate([view_of(view) for view in sliced.views])

        def view_of(view: object) -> Embeddings:
            from uhd_edge.runtime.vision.patches import make_patches, position_ids

            vision = bundle.manifest.vision
            patches = make_patches(view, preprocessing, vision, mode="16x")[None]
            positions = position_ids(view.rows, view.columns, vision, mode="16x")[None]
            features = encoder({"patches": patches, "position_ids": positions})[0]
            return np.asarray(connector({"features": features})[0][0])

        return encode

    return open_openvino


def transformers(dtype: str) -> Callable[[Setting], Encode]:
    """The reference, with its own image processor."""

    def open_transformers(setting: Setting) -> Encode:
        import torch
        from transformers import MiniCPMV4_6ForConditionalGeneration, MiniCPMV4_6ImageProcessorPil

        torch.set_num_threads(setting.threads)
        folder = setting.weights.checkpoint
        kind = getattr(torch, dtype)
        model = MiniCPMV4_6ForConditionalGeneration.from_pretrained(folder, dtype=kind).eval()
        processor = MiniCPMV4_6ImageProcessorPil.from_pretrained(folder)

        def encode(pixels: NDArray[np.uint8]) -> Embeddings:
            prepared = processor(Image.fromarray(pixels), return_tensors="pt", downsample_mode="16x")
            with torch.inference_mode():
                features = model.model.get_image_features(
                    prepared["pixel_values"].to(kind), prepared["target_sizes"], downsample_mode="16x"
                )
            return np.concatenate([view.float().numpy() for view in features.pooler_output])

        return encode

    return open_transformers


def llama_cpp(kind: str) -> Callable[[Setting], Encode]:
    """llama.cpp's mtmd, with its own slicing, which differs from the reference's."""

    def open_mtmd(setting: Setting) -> Encode:
        if setting.site is not None:
            sys.path.insert(0, str(setting.site))
        from mtmd import Mtmd

        weights = setting.weights
        return Mtmd(weights.mmproj(kind), weights.bundle / "llm.gguf", setting.threads).encode

    return open_mtmd


MTMD = "CMAKE_ARGS=-DLLAVA_BUILD=ON pip install --target FOLDER llama-cpp-python, then --mtmd FOLDER"
_TRANSFORMERS = "pip install 'uhd-edge[export]'"
_PROVIDER = "pip install 'uhd-edge[openvino]'"

COMPETITORS: dict[str, Competitor[Setting, Embeddings]] = {
    "ours fp32": Competitor(ours("onnxruntime", "fp32"), ""),
    "ours int8": Competitor(ours("onnxruntime", "int8"), ""),
    "ours bf16, openvino": Competitor(ours("openvino", "fp16"), _PROVIDER),
    "ours int8, openvino": Competitor(ours("openvino", "int8"), _PROVIDER),
    "llama.cpp mtmd f16": Competitor(llama_cpp("f16"), MTMD),
    "llama.cpp mtmd q8_0": Competitor(llama_cpp("q8_0"), MTMD),
    "transformers fp32": Competitor(transformers("float32"), _TRANSFORMERS),
    "transformers bf16": Competitor(transformers("bfloat16"), _TRANSFORMERS),
    "OpenVINO fp32": Competitor(openvino("fp32", "f32"), "pip install openvino"),
    "OpenVINO int8": Competitor(openvino("int8-tensorrt", ""), "pip install openvino"),
    "post-ViT fp32": Competitor(ours("onnxruntime", "fp32", post_vit=True), ""),
    "post-ViT int8": Competitor(ours("onnxruntime", "int8", post_vit=True), ""),
    "post-ViT int8, openvino": Competitor(ours("openvino", "int8", post_vit=True), _PROVIDER),
}


def competitor(name: str) -> Competitor[Setting, Embeddings]:
    """Return the competitor of this name."""
    return COMPETITORS[name]
