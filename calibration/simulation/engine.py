"""Run an encoder in numpy as TensorRT's engine would, node by node, counting the sums of its quantized products."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import onnx_ir as ir

from uhd_edge.calibration.graphs.external_weights import read_weight
from uhd_edge.calibration.graphs.nvfp4 import DYNAMIC_QUANTIZE
from uhd_edge.calibration.ranges.linears import PRODUCT
from uhd_edge.calibration.ranges.nvfp4 import to_nvfp4
from uhd_edge.calibration.simulation.operators import OPERATORS
from uhd_edge.calibration.simulation.products import Dequantized, SumCount, quantized_product
from uhd_edge.engines.engine import ClosedByWith
from uhd_edge.engines.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from uhd_edge.engines.engine import Array

    Computed: TypeAlias = Array | Dequantized


class SimulatedEngine(ClosedByWith):
    """An `Engine` of a graph file that our exporter or calibration wrote.

    `counts` holds the sums of each quantized product since opening, by the linear's name. Raises
    `EngineError` for a graph with an operator that ours do not have.
    """

    provider = "numpy, as TensorRT computes"

    def __init__(self, file: Path) -> None:
        self._file = file
        self._graph = ir.load(file).graph
        self.counts: dict[str, SumCount] = {}
        unknown = {node.op_type for node in self._graph} - OPERATORS.keys() - {"DequantizeLinear", DYNAMIC_QUANTIZE}
        if unknown:
            raise EngineError(f"{file}: cannot be simulated, {', '.join(sorted(unknown))} is not an operator of ours")

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph: arrays by input name -> arrays by output name."""
        values: dict[ir.Value, Computed] = {value: inputs[str(value.name)] for value in self._graph.inputs}
        outputs = set(self._graph.outputs)
        uses = Counter(value for node in self._graph for value in node.inputs)
        for node in self._graph:
            read = [self._read(values, value) for value in node.inputs]
            values.update(self._results(node, read))
            for value in node.inputs:  # a real tower would not fit into memory whole
                uses[value] -= 1
                if value is not None and uses[value] == 0 and value not in outputs:
                    values.pop(value, None)
        return {str(value.name): cast("Array", values[value]) for value in self._graph.outputs}

    def close(self) -> None:
        """Nothing is held open."""

    def _read(self, values: Mapping[ir.Value, Computed], value: ir.Value | None) -> Computed:
        known = cast("ir.Value", value)
        if known in values:
            return values[known]
        return read_weight(cast("ir.TensorProtocol", known.const_value))

    def _results(self, node: ir.Node, inputs: list[Computed]) -> dict[ir.Value, Computed]:
        if node.op_type == DYNAMIC_QUANTIZE:
            values, scale = (cast("Array", value) for value in inputs)
            blocks = to_nvfp4(values, np.float32(scale))
            return dict(zip(node.outputs, (blocks.levels, blocks.scales), strict=True))
        return {node.outputs[0]: self._compute(node, inputs)}

    def _compute(self, node: ir.Node, inputs: list[Computed]) -> Computed:
        if node.op_type == "DequantizeLinear":
            return _dequantized(inputs, node.attributes)
        if node.op_type == "Cast" and isinstance(inputs[0], Dequantized):
            return replace(inputs[0], cast_to=ir.DataType(node.attributes["to"].as_int()).numpy())
        if node.op_type == "MatMul" and all(isinstance(value, Dequantized) for value in inputs):
            left, right = cast("list[Dequantized]", inputs)
            product, count = quantized_product(left, right)
            name = str(node.name).removesuffix(PRODUCT)
            self.counts[name] = self.counts.get(name, SumCount()) + count
            return product
        arrays = [value.values if isinstance(value, Dequantized) else value for value in inputs]
        with np.errstate(invalid="ignore"):  # infinity minus infinity is what is being looked for
            return OPERATORS[node.op_type](arrays, node.attributes)


def _dequantized(inputs: Sequence[Computed], attributes: Mapping[str, ir.Attr]) -> Dequantized:
    levels, scale = cast("Array", inputs[0]), inputs[1]
    if not isinstance(scale, Dequantized):
        return Dequantized(levels, scale)
    # Blocks: their own scales are numbers in FP8 and the tensor's scale.
    size, axis = attributes["block_size"].as_int(), attributes["axis"].as_int()
    of_blocks = np.repeat(scale.levels.astype(np.float32), size, axis=axis)
    return Dequantized(levels.astype(np.float32) * of_blocks, scale.scale)
