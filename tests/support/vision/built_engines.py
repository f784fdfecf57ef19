"""Stand-ins for engines in a bundle, for machines without a GPU. Records are real, and ONNX Runtime computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from uhd_edge.engines.building.engine_record import EngineRecord, read_digest, read_digests, write_record
from uhd_edge.engines.building.profiles import ShapeRange
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import GraphKind, Manifest

PARTS = ("encoder", "connector")


def message(error: type[Exception], action: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(error) as caught:
        action(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_fp16(bundle: Bundle) -> Bundle:
    """The telling bundle with its graphs listed as FP16 too, the kind that an engine is built from."""
    manifest = bundle.manifest.model_dump()
    for mode, graphs in manifest["graphs"].items():
        for part in PARTS:
            graph = graphs["fp32"][part]
            half = graph.replace(".onnx", "-fp16.onnx")
            (bundle.path / half).write_bytes((bundle.path / graph).read_bytes())
            manifest["graphs"][mode].setdefault("fp16", {})[part] = half
    return Bundle(bundle.path, Manifest.model_validate(manifest))


def with_int8(bundle: Bundle) -> Bundle:
    """The bundle with its FP16 graphs listed as INT8 for TensorRT too."""
    return _with_kind(bundle, "int8-tensorrt", "int8")


def with_fp8(bundle: Bundle) -> Bundle:
    """The bundle with its FP16 graphs listed as FP8 too."""
    return _with_kind(bundle, "fp8", "fp8")


def _with_kind(bundle: Bundle, kind: GraphKind, suffix: str) -> Bundle:
    manifest = bundle.manifest.model_dump()
    for graphs in manifest["graphs"].values():
        graphs[kind] = {}
        for part in PARTS:
            name = graphs["fp16"][part].replace("-fp16", f"-{suffix}")
            (bundle.path / name).write_bytes((bundle.path / graphs["fp16"][part]).read_bytes())
            graphs[kind][part] = name
    return Bundle(bundle.path, Manifest.model_validate(manifest))


def build(
    bundle: Bundle,
    *,
    precision: Any = "fp16",
    capability: str = "8.9",
    version: str = "1.7.1",
    target: str = "rtx-40",
    backend: Any = "tensorrt-rtx",
) -> list[Path]:
    """Write records of engines for the 16x graphs into the bundle, and files that stand for the engines."""
    folder = bundle.path / "engines" / target
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    kinds: dict[str, GraphKind] = {"fp16": "fp16", "int8": "int8-tensorrt", "fp8": "fp8"}
    for part in PARTS:
        graph = getattr(bundle.manifest.graphs["16x"][kinds[precision]], part)
        engine = folder / f"{part}-{precision}.engine"
        engine.write_bytes(b"engine" if precision == "fp16" else f"engine in {precision}".encode())
        shapes = ShapeRange((1, 4), (1, 4), (1, 4))
        record = EngineRecord(
            backend=backend,
            backend_version=version,
            target=target,
            compute_capability=capability,
            gpu=None,
            precision=precision,
            graph=graph,
            graph_files=read_digests(bundle.path / graph),
            profiles=({"features": shapes},),
            engine=read_digest(engine),
            path=engine,
        )
        write_record(record)
        files.append(engine)
    return files


class Told:
    """Stands in for an open TensorRT engine: computes with ONNX Runtime, and notes which files were opened."""

    opened: list[str] = []  # noqa: RUF012

    def __new__(cls, file: Path, *, backend: str) -> Any:  # noqa: ARG004
        cls.opened.append(file.name)
        graph = json.loads(file.with_name(f"{file.name}.json").read_bytes())["graph"]
        engine = OnnxRuntimeEngine(file.parents[2] / graph, threads=1)
        engine.provider = "pretended"
        return engine


PICTURE = Image.new("RGB", (300, 200), "teal")
