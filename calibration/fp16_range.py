"""How much of FP16's range a vision tower uses: the largest magnitude in every layer on real pictures.

FP16 ends at 65504. The FP16 graphs keep values in FP32 that could exceed it. This module
measures the actual values by running the FP16 graphs on ONNX Runtime's CPU provider. It
computes FP16 products in FP32, so a value too large for FP16 appears as its true value or as
infinity.
"""

from __future__ import annotations

import math
import re
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.bundles.update import copy_beside
from uhd_edge.runtime.errors import OutputError
from uhd_edge.runtime.vision.patches import encoder_inputs, make_patches, position_ids
from uhd_edge.runtime.vision.slicing import plan_views, slice_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from PIL import Image

    from uhd_edge.engines.engine import Array
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

LARGEST = 65504.0  # of FP16

# These only move values, which were measured where they were computed.
_MOVING = frozenset({"Concat", "Gather", "Reshape", "Slice", "Transpose"})
_FLAT, _ZERO = "|flat", "|zero"

_LAYER = re.compile(r"(.*\.layers\.\d+|[^.]+\.mlp\.\d+|[^./]+\.[^./]+)")


@dataclass(frozen=True)
class LayerRange:
    """The largest magnitudes in one layer: `half` among its FP16 values, computed by `operator`; `full` among FP32."""

    mode: Mode
    layer: str
    half: float
    operator: str
    full: float

    @property
    def headroom(self) -> float:
        """The factor by which the FP16 values could grow; below 1 they overflow."""
        return LARGEST / self.half if self.half else float("inf")


def layer_ranges(
    bundle: Bundle, pictures: Sequence[Image.Image], *, mode: Mode, max_slices: int | None, threads: int | None = None
) -> list[LayerRange]:
    """Run the FP16 graphs of `mode` over the views of `pictures` (RGB) and measure every layer.

    Raises `EngineUnavailableError` if the bundle has no FP16 graphs, and `OutputError` if its
    folder is not writable: copies of the graphs with more outputs are stored there temporarily.
    """
    manifest = bundle.manifest
    peaks: dict[_MeasuredValue, float] = {}
    with ExitStack() as stack:
        graphs = [stack.enter_context(_instrumented(file)) for file in bundle.graphs(mode, "fp16")]
        encoder, connector = (stack.enter_context(OnnxRuntimeEngine(graph.file, threads=threads)) for graph in graphs)
        both_modes = manifest.graphs[mode]["fp16"].both_modes
        for picture in pictures:
            plan = plan_views(*picture.size, manifest.preprocessing, mode=mode, max_slices=max_slices)
            for view in slice_image(picture, plan).views:
                patches = make_patches(view, manifest.preprocessing, manifest.vision, mode=mode)
                positions = position_ids(view.rows, view.columns, manifest.vision, mode=mode)
                outputs = encoder.run(
                    encoder_inputs(patches[None], positions[None], manifest.vision, mode=mode, both_modes=both_modes)
                )
                _note_peaks(peaks, graphs[0], outputs)
                _note_peaks(peaks, graphs[1], connector.run({"features": outputs["features"]}))
    return _by_layer(mode, peaks)


@dataclass(frozen=True)
class _MeasuredValue:
    """A value to measure: the node that computes it, its name, and whether it is FP16."""

    node: str
    value: str
    half: bool

    @property
    def peak(self) -> str:
        return f"{self.value}|peak"


@dataclass(frozen=True)
class _InstrumentedGraph:
    """A graph file with the peaks of `values` among its outputs."""

    file: Path
    values: Sequence[_MeasuredValue]


@contextmanager
def _instrumented(file: Path) -> Iterator[_InstrumentedGraph]:
    """Write a copy of the graph with peaks as outputs, in the same folder because its weights are there."""
    model = onnx.load(file, load_external_data=False)
    values = _find_measured_values(model)
    model.graph.initializer.extend(
        [
            helper.make_tensor(_FLAT, TensorProto.INT64, [1], [-1]),
            helper.make_tensor(_ZERO, TensorProto.FLOAT, [1], [0.0]),
        ]
    )
    for measured in values:
        nodes = [
            helper.make_node("Cast", [measured.value], [f"{measured.value}|exact"], to=TensorProto.FLOAT),
            helper.make_node("Abs", [f"{measured.value}|exact"], [f"{measured.value}|size"]),
            # A part that a mode leaves out has no numbers, and so no largest one.
            helper.make_node("Reshape", [f"{measured.value}|size", _FLAT], [f"{measured.value}|flat"]),
            helper.make_node("Concat", [f"{measured.value}|flat", _ZERO], [f"{measured.value}|some"], axis=0),
            helper.make_node("ReduceMax", [f"{measured.value}|some"], [measured.peak], keepdims=0),
        ]
        model.graph.node.extend(nodes)
        model.graph.output.append(helper.make_tensor_value_info(measured.peak, TensorProto.FLOAT, []))
    try:
        with copy_beside(file) as copy:
            onnx.save(model, copy)
            yield _InstrumentedGraph(copy, values)
    except OSError as error:
        raise OutputError(f"{file.parent}: cannot be written ({error.strerror or error}); copy the bundle") from error


def _find_measured_values(model: onnx.ModelProto) -> list[_MeasuredValue]:
    """List all values that are computed in FP16 or FP32."""
    typed = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*typed.value_info, *typed.output)}
    floats: dict[int, bool] = {TensorProto.FLOAT16: True, TensorProto.FLOAT: False}
    return [
        _MeasuredValue(node.name, node.output[0], floats[types[node.output[0]]])
        for node in model.graph.node
        if node.op_type not in _MOVING and types.get(node.output[0]) in floats
    ]


def _note_peaks(peaks: dict[_MeasuredValue, float], graph: _InstrumentedGraph, outputs: Mapping[str, Array]) -> None:
    for measured in graph.values:
        peak = float(outputs[measured.peak])
        # NaN comes from infinities, and must not be lost in a comparison.
        peaks[measured] = max(peaks.get(measured, 0.0), float("inf") if math.isnan(peak) else peak)


def _by_layer(mode: Mode, peaks: Mapping[_MeasuredValue, float]) -> list[LayerRange]:
    layers: dict[str, list[_MeasuredValue]] = {}
    for measured in peaks:
        found = _LAYER.match(measured.node)
        layers.setdefault(found.group(1) if found else measured.node, []).append(measured)
    ranges = [_layer_range(mode, layer, values, peaks) for layer, values in layers.items()]
    return [one for one in ranges if one.half or one.full]  # 4x leaves the compressor out


def _layer_range(
    mode: Mode, layer: str, values: Sequence[_MeasuredValue], peaks: Mapping[_MeasuredValue, float]
) -> LayerRange:
    worst = max((measured for measured in values if measured.half), key=lambda measured: peaks[measured], default=None)
    return LayerRange(
        mode=mode,
        layer=layer,
        half=0.0 if worst is None else peaks[worst],
        operator="" if worst is None else worst.node.removeprefix(layer).lstrip("./"),
        full=max((peaks[measured] for measured in values if not measured.half), default=0.0),
    )
