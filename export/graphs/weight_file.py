"""A file of weights that several ONNX graphs share.

ONNX keeps the weights of a large graph in a separate file. The graph gives the offset and the
length of each. Two graphs may refer to the same bytes, so the encoders with and without the
compressor need the disk space only once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from uhd_edge.runtime.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

ALIGNMENT = 64  # bytes, a cache line: runtimes want this of weights that they map into memory
HALF_BYTE = 4  # bits of a number of which two are stored in a byte


class WeightFile:
    """A weight file that is written tensor by tensor, so that only one tensor is in memory at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = path.open("wb")
        self._written: dict[tuple[str, tuple[int, ...]], ir.ExternalTensor] = {}

    def __enter__(self) -> WeightFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def move_weights(self, model: ir.Model) -> None:
        """Write the weights of `model` that have not been read yet, and let `model` refer to this file.

        Weights of several graphs with the same name and shape are written once. Raises `ExportError` when a
        weight has become infinite in FP16.
        """
        for value in model.graph.initializers.values():
            if isinstance(value.const_value, ir.LazyTensor):
                value.const_value = self._place(value.const_value)

    def _place(self, tensor: ir.LazyTensor) -> ir.ExternalTensor:
        name = str(tensor.name)
        key = (name, tensor.shape.numpy())
        if key not in self._written:
            self._written[key] = self._write(name, tensor)
        return self._written[key]

    def _write(self, name: str, tensor: ir.LazyTensor) -> ir.ExternalTensor:
        array = np.ascontiguousarray(tensor.numpy())
        if not np.isfinite(array).all():  # the conversion to FP16 has made them infinite
            raise ExportError(f"{name} has values that are too large for FP16; export with --precisions fp32")
        self._stream.write(b"\0" * (-self._stream.tell() % ALIGNMENT))
        offset = self._stream.tell()
        array = _packed(array) if tensor.dtype.bitwidth == HALF_BYTE else array
        array.tofile(self._stream)
        return ir.ExternalTensor(
            location=self.path.name,
            offset=offset,
            length=array.nbytes,
            dtype=tensor.dtype,
            shape=tensor.shape,
            name=name,
            base_dir=self.path.parent,
        )


def _packed(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Put two numbers of 4 bits into each byte, the first into the lower half, as ONNX does."""
    bits = array.ravel().view(np.uint8) & 0xF
    return (bits[::2] | np.pad(bits[1::2], (0, bits.size % 2)) << 4).astype(np.uint8)
