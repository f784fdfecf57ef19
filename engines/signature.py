"""Check inputs against what a graph expects before running it, so that errors are clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.engines.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.engines.engine import Array

# ONNX names of element types that have a different name in numpy.
_NUMPY_NAMES = {"float": "float32", "double": "float64"}


@dataclass(frozen=True)
class TensorSpec:
    """Element type by its ONNX or numpy name, and shape; a dynamic size is a name, or None."""

    dtype: str
    shape: tuple[int | str | None, ...]

    @property
    def numpy_dtype(self) -> str:
        """The numpy name of the element type."""
        return _NUMPY_NAMES.get(self.dtype, self.dtype)

    def __str__(self) -> str:
        return f"{self.numpy_dtype} [{', '.join('?' if size is None else str(size) for size in self.shape)}]"


def check_inputs(inputs: Mapping[str, Array], specs: Mapping[str, TensorSpec], graph: str) -> None:
    """Raise `EngineError` if names, dtypes or shapes do not match the graph's.

    A named dynamic size must be the same in all inputs that use the name.
    """
    if inputs.keys() != specs.keys():
        expected = ", ".join(f"{name} {spec}" for name, spec in specs.items())
        raise EngineError(f"{graph}: expects {expected}; it was given {', '.join(inputs) or 'nothing'}")
    sizes: dict[str, int] = {}
    for name, spec in specs.items():
        array = inputs[name]
        if array.dtype != spec.numpy_dtype or not _fits(array.shape, spec.shape, sizes):
            known = "".join(f", {free} = {size}" for free, size in sizes.items())
            given = TensorSpec(str(array.dtype), array.shape)
            raise EngineError(f"{graph}: {name} must be {spec}{known}; it was given {given}")


def _fits(shape: tuple[int, ...], expected: tuple[int | str | None, ...], sizes: dict[str, int]) -> bool:
    """Compare two shapes, recording the value of each named size in `sizes`."""
    if len(shape) != len(expected):
        return False
    for size, wanted in zip(shape, expected, strict=True):
        if isinstance(wanted, int) and size != wanted:
            return False
        if isinstance(wanted, str) and sizes.setdefault(wanted, size) != size:
            return False
    return True
