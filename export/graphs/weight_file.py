"""One file of weights that several ONNX graphs name.

ONNX keeps the weights of a large graph in a file beside it, each with an offset and a
length. Two graphs may name the same bytes, so the encoders with and without the compressor
cost the disk only once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from uhd_edge.runtime.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

ALIGNMENT = 64  # bytes; a cache line, which is what runtimes want of memory they map


class WeightFile:
    """Written tensor by tensor, so that only one of them is in memory at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = path.open("wb")
        self._written: dict[str, ir.ExternalTensor] = {}

    def __enter__(self) -> WeightFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def move_weights(self, model: ir.Model) -> None:
        """Write the weights that `model` has still to read, and let it name their place in this file.

        A weight of the same name is written once. Raises `ExportError` on one that FP16 cannot hold.
        """
        for value in model.graph.initializers.values():
            if isinstance(value.const_value, ir.LazyTensor):
                value.const_value = self._place(value.const_value)

    def _place(self, tensor: ir.LazyTensor) -> ir.ExternalTensor:
        name = str(tensor.name)
        if name not in self._written:
            self._written[name] = self._write(name, tensor)
        return self._written[name]

    def _write(self, name: str, tensor: ir.LazyTensor) -> ir.ExternalTensor:
        array = np.ascontiguousarray(tensor.numpy())
        if not np.isfinite(array).all():  # infinities that came with the conversion
            raise ExportError(f"{name} holds values that FP16 cannot; export with --precisions fp32")
        self._stream.write(b"\0" * (-self._stream.tell() % ALIGNMENT))
        offset = self._stream.tell()
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
