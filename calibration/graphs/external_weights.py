"""Weights that lie in a file beside their graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from uhd_edge.export.graphs.weight_file import HALF_BYTE

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_weight(tensor: ir.TensorProtocol) -> NDArray[Any]:
    """Map a weight from its file, or return it if it is in the graph itself.

    onnx-ir would keep the whole file mapped, which counts as memory of the process once it was read, and refuses
    hard links, which copies of a bundle may share. The files of a bundle are known by their checksums.
    """
    if not isinstance(tensor, ir.ExternalTensor):
        return tensor.numpy()
    kind, shape = tensor.dtype.numpy(), tuple(tensor.shape.numpy())
    if tensor.dtype.bitwidth == HALF_BYTE:
        packed = np.memmap(tensor.path, np.uint8, "r", offset=tensor.offset or 0, shape=((tensor.size + 1) // 2,))
        both = np.stack([packed & 0xF, packed >> 4], axis=-1)
        return both.ravel()[: tensor.size].view(kind).reshape(shape)
    flat = np.memmap(tensor.path, kind, "r", offset=tensor.offset or 0, shape=(tensor.size,))
    return flat.reshape(shape)
