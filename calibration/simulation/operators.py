"""The operators of our graphs in numpy: computed in FP32 and rounded to the type that the graph states."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx_ir as ir

from uhd_edge.calibration.ranges.fp8 import FP8, to_fp8

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Attributes = Mapping[str, ir.Attr]

Operator: TypeAlias = "Callable[[list[Array], Attributes], Array]"

_LEAST, _MOST = -128, 127  # of int8


def _add(inputs: list[Array], _: Attributes) -> Array:
    return _rounded(_full(inputs[0]) + _full(inputs[1]), inputs[0])


def _mul(inputs: list[Array], _: Attributes) -> Array:
    return _rounded(_full(inputs[0]) * _full(inputs[1]), inputs[0])


def _sub(inputs: list[Array], _: Attributes) -> Array:
    return _rounded(_full(inputs[0]) - _full(inputs[1]), inputs[0])


def _div(inputs: list[Array], _: Attributes) -> Array:
    return _rounded(_full(inputs[0]) / _full(inputs[1]), inputs[0])


def multiply(left: Array, right: Array) -> NDArray[np.float32]:
    """Multiply [.., T, K] by [K, out] or [.., K, out] in FP32 -> [.., T, out]."""
    # Of arrays that were only transposed, numpy would multiply one number at a time.
    one, other = np.ascontiguousarray(_full(left)), np.ascontiguousarray(_full(right))
    rows = one if other.ndim > 2 else one.reshape(-1, one.shape[-1])  # one product instead of one for each view
    product: NDArray[np.float32] = np.matmul(rows, other)
    return product.reshape(*one.shape[:-1], other.shape[-1])


def _matmul(inputs: list[Array], _: Attributes) -> Array:
    return _rounded(multiply(*inputs), inputs[0])


def _gelu(inputs: list[Array], attributes: Attributes) -> Array:
    x = _full(inputs[0])
    if attributes["approximate"].as_string() == "tanh":
        inner = np.tanh(np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x))
    else:
        inner = np.vectorize(math.erf, otypes=[np.float32])(x / np.float32(math.sqrt(2)))
    return _rounded(np.float32(0.5) * x * (1 + inner), inputs[0])


def _layer_norm(inputs: list[Array], attributes: Attributes) -> Array:
    x, weight, bias = map(_full, inputs)
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + attributes["epsilon"].as_float())
    return _rounded(centred / deviation * weight + bias, inputs[0])


def _softmax(inputs: list[Array], _: Attributes) -> Array:
    x = _full(inputs[0])
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return _rounded(powers / powers.sum(axis=-1, keepdims=True), inputs[0])


def _mean(inputs: list[Array], attributes: Attributes) -> Array:
    x, axes = inputs
    return _rounded(_full(x).mean(axis=tuple(axes), keepdims=bool(attributes["keepdims"].as_int())), x)


def _largest(inputs: list[Array], attributes: Attributes) -> Array:
    x, axes = inputs
    largest: Array = x.max(axis=tuple(axes), keepdims=bool(attributes["keepdims"].as_int()))
    return largest


def _cast(inputs: list[Array], attributes: Attributes) -> Array:
    with np.errstate(over="ignore"):
        return inputs[0].astype(ir.DataType(attributes["to"].as_int()).numpy())


def _quantize(inputs: list[Array], _: Attributes) -> Array:
    x, scale, zero = inputs
    if zero.dtype == FP8:
        return to_fp8(x, scale)
    # A sum that overflowed comes out as the largest number, and nobody sees what it was.
    levels = np.rint(_full(x) / _full(scale))
    rounded: Array = np.clip(np.nan_to_num(levels, nan=0, posinf=_MOST, neginf=_LEAST), _LEAST, _MOST).astype(np.int8)
    return rounded


def _reshape(inputs: list[Array], _: Attributes) -> Array:
    x, target = inputs
    return x.reshape([x.shape[axis] if size == 0 else int(size) for axis, size in enumerate(target)])


def _transpose(inputs: list[Array], attributes: Attributes) -> Array:
    return inputs[0].transpose(attributes["perm"].as_ints())


def _unsqueeze(inputs: list[Array], _: Attributes) -> Array:
    return np.expand_dims(inputs[0], tuple(inputs[1]))


def _gather(inputs: list[Array], attributes: Attributes) -> Array:
    return np.take(inputs[0], inputs[1], axis=attributes["axis"].as_int())


def _slice(inputs: list[Array], _: Attributes) -> Array:
    x, start, end, axis = inputs
    places = [slice(None)] * x.ndim
    places[int(axis[0])] = slice(int(start[0]), int(end[0]))
    return x[tuple(places)]


def _concat(inputs: list[Array], attributes: Attributes) -> Array:
    return np.concatenate(inputs, axis=attributes["axis"].as_int())


def _shape(inputs: list[Array], _: Attributes) -> Array:
    return np.array(inputs[0].shape, dtype=np.int64)


OPERATORS: dict[str, Operator] = {
    "Add": _add,
    "Cast": _cast,
    "Concat": _concat,
    "Cos": lambda inputs, _: _rounded(np.cos(_full(inputs[0])), inputs[0]),
    "Div": _div,
    "Floor": lambda inputs, _: np.floor(inputs[0]),
    "Gather": _gather,
    "Gelu": _gelu,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
    "Max": lambda inputs, _: np.maximum(*inputs),
    "Min": lambda inputs, _: np.minimum(*inputs),
    "Mul": _mul,
    "QuantizeLinear": _quantize,
    "ReduceMax": _largest,
    "ReduceMean": _mean,
    "Reshape": _reshape,
    "Shape": _shape,
    "Sin": lambda inputs, _: _rounded(np.sin(_full(inputs[0])), inputs[0]),
    "Slice": _slice,
    "Softmax": _softmax,
    "Sub": _sub,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}


def _full(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _rounded(result: Array, like: Array) -> Array:
    with np.errstate(over="ignore"):
        return result.astype(like.dtype, copy=False)
