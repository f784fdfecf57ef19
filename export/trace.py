"""A torch module becomes a clean ONNX graph whose weights stay in the checkpoint.

The module lives on torch's meta device, so nothing of its size is ever in memory: the
exporter sees shapes only, and each weight of the graph is a promise to read one tensor of
the checkpoint when the graph is written.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from torch import Tensor, nn

from uhd_edge.runtime.errors import ExportError

# Opset 20 is the newest that TensorRT 10.3 reads (JetPack 6.2), and the first with Gelu as
# one operator: ONNX Runtime fuses it with the bias before it, which is seven times as fast
# on a CPU as the nine operators it replaces. IR 9 is the version that came with it.
OPSET = 20
IR_VERSION = 9

ReadTensor = Callable[[str], Tensor]


def trace(
    module: nn.Module, inputs: Mapping[str, Tensor], axes: Mapping[str, tuple[str, ...]], output: str, read: ReadTensor
) -> ir.Model:
    """Export `module` as an ONNX graph, a module on the meta device with one output.

    `inputs` are example tensors by name, in the order of the module's arguments, their first
    two axes dynamic. `axes` names the axes of the inputs and of `output`; an axis with an
    empty name keeps its number. `read` returns the weight of a parameter name.
    Raises `ExportError` when the exporter fails.
    """
    model = _export(module, inputs, output)
    _name_nodes(model.graph)
    _postpone_weights(model.graph, read)
    _fold_transposed_weights(model.graph)
    _fix_reshapes(model.graph)
    _tidy(model)
    _name_axes(model.graph, axes)
    model.ir_version = IR_VERSION
    return model


def _export(module: nn.Module, inputs: Mapping[str, Tensor], output: str) -> ir.Model:
    dynamic = {name: {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for name in inputs}
    try:
        with _quiet_exporter():
            program = torch.onnx.export(
                module.eval(),
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=[output],
                opset_version=OPSET,
                dynamic_shapes=dynamic,
                dynamo=True,
                optimize=False,  # it would fold constants, and there are no values to fold
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(f"torch {torch.__version__} cannot export the {output} graph: {reason}") from error
    if program is None:
        raise ExportError(f"torch {torch.__version__} returned no graph for the {output}")
    return program.model


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Warnings about torchvision's operators and deprecated internals say nothing to our users."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _name_nodes(graph: ir.Graph) -> None:
    """Names such as `encoder.layers.3.mlp.fc1/MatMul`, by the module a node came from."""
    seen: dict[str, int] = {}
    for node in graph:
        scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
        # A list of nested scopes as text: ['', 'encoder', 'encoder.layers.3', 'linear_7'].
        parts = [part.strip(" '\"") for part in scopes.strip("[]").split(",")]
        name = f"{parts[-2] if len(parts) > 1 else ''}/{node.op_type}".lstrip("/")
        count = seen[name] = seen.get(name, -1) + 1
        node.name = f"{name}_{count}" if count else name


def _postpone_weights(graph: ir.Graph, read: ReadTensor) -> None:
    for name, value in graph.initializers.items():
        value.const_value = _lazy(name, cast("ir.Shape", value.shape), read)


def _lazy(name: str, shape: ir.Shape, read: ReadTensor) -> ir.LazyTensor:
    def evaluate() -> ir.TensorProtocol:
        # A patch embedding is stored as a convolution: [d, c, p, p] instead of [d, c * p * p].
        return ir.tensor(read(name).to(torch.float32).reshape(shape.numpy()).numpy(), name=name)

    return ir.LazyTensor(evaluate, ir.DataType.FLOAT, shape, name=name)


def _fold_transposed_weights(graph: ir.Graph) -> None:
    """Store a linear layer's weight as the [in, out] that MatMul reads, instead of transposing at every run."""
    for node in list(graph):
        weight = node.inputs[0] if node.inputs else None
        if node.op_type != "Transpose" or weight is None or not weight.is_initializer():
            continue
        weight.const_value = _transposed(cast("ir.LazyTensor", weight.const_value))
        weight.shape = weight.const_value.shape
        ir.convenience.replace_all_uses_with(node.outputs[0], weight)
        graph.remove(node, safe=True)


def _transposed(stored: ir.LazyTensor) -> ir.LazyTensor:
    rows, columns = stored.shape.numpy()
    return ir.LazyTensor(
        lambda: ir.tensor(stored.numpy().T, name=stored.name),
        ir.DataType.FLOAT,
        ir.Shape((columns, rows)),
        name=stored.name,
    )


def _fix_reshapes(graph: ir.Graph) -> None:
    """Replace computed reshape targets by constants: 0 copies an axis, -1 is the one that is left.

    The exporter computes each target from the input's axes, some twenty operators a layer
    that no runtime can remove for dynamic shapes.
    """
    for node in [node for node in graph if node.op_type == "Reshape"]:
        source = cast("ir.Value", node.inputs[0])
        numbers = None if source.producer() is None else ir.convenience.get_const_tensor(source)
        if numbers is not None:  # axes of a reduction, which TensorRT wants as a constant
            constant = ir.node("Constant", [], attributes={"value_ints": numbers.numpy().ravel().tolist()})
            graph.insert_before(node, constant)
            ir.convenience.replace_all_uses_with(node.outputs[0], constant.outputs[0])
        elif source.shape is not None and node.outputs[0].shape is not None:
            constant = ir.node("Constant", [], attributes={"value_ints": _constant_target(node)})
            graph.insert_before(node, constant)
            node.replace_input_with(1, constant.outputs[0])
            node.attributes.pop("allowzero", None)  # with it, 0 would mean an empty axis


def _constant_target(reshape: ir.Node) -> list[int]:
    before = cast("ir.Shape", cast("ir.Value", reshape.inputs[0]).shape)
    after = cast("ir.Shape", reshape.outputs[0].shape)
    target = [
        size if isinstance(size, int) else 0 if axis < len(before) and size == before[axis] else -1
        for axis, size in enumerate(after)
    ]
    if target.count(-1) > 1:
        raise ExportError(f"{reshape.name}: a reshape from {before} to {after} has no constant target")
    return target


def _tidy(model: ir.Model) -> None:
    """Drop what the exporter left behind, its stack traces and paths among it."""
    for tidy in (
        passes.IdentityEliminationPass(),
        passes.RemoveUnusedNodesPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.ClearMetadataAndDocStringPass(),
    ):
        tidy(model)
    model.producer_name, model.producer_version = "uhd-edge", None
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    for node in model.graph:
        for value in node.outputs:
            value.metadata_props.clear()
            if not value.is_graph_output():
                value.shape = value.type = None  # named after the exporter's symbols; runtimes infer them


def _name_axes(graph: ir.Graph, axes: Mapping[str, tuple[str, ...]]) -> None:
    for value in (*graph.inputs, *graph.outputs):
        shape = cast("ir.Shape", value.shape)
        names = axes[cast("str", value.name)]
        value.shape = ir.Shape([name or size for name, size in zip(names, shape, strict=True)])
