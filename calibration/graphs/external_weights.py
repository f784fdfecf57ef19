"""Weights that lie in a file beside their graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_weight(tensor: ir.TensorProtocol) -> NDArray[Any]:
    """Map a weight from its file, or return it if it is in the graph itself.

    onnx-ir would keep the whole file mapped, which counts as memory of the process once it was read, and refuses
    hard links, which copies of a bundle may share. The files of a bundle are known by their checksums.
    """
    if not isinstance(tensor, ir.ExternalTensor):
        return tensor.numpy()
    flat = np.memmap(tensor.path, tensor.dtype.numpy(), "r", offset=tensor.offset or 0, shape=(tensor.size,))
    return flat.reshape(tuple(tensor.shape.numpy()))
