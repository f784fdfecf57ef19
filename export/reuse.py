"""The compressor's first weights, taken from an encoder layer (LLaVA-UHD v4, section 3.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from uhd_edge.runtime.bundles.compressors import COMPRESSORS, CrossMerge

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.compressors import CompressorName


def first_weights(compressor: CompressorName, layer: dict[str, Tensor], window: int) -> dict[str, Tensor]:
    """The tensors of a new `compressor` that are taken from the encoder layer before it; the others stay as they are.

    `layer` and the result are as in `reuse_initialisation`. A merge by cross-attention has the layer's
    own tensors. A narrow MLP takes nothing from the layer: the paper initialises it at random.
    """
    merge = COMPRESSORS[compressor]
    if isinstance(merge, CrossMerge):
        return {name: tensor.clone() for name, tensor in layer.items()}
    taken = ("pre_norm.", "linear_") if merge.mlp == "wide" else ()
    taken = (*taken, "layer_norm1.", "self_attn.") if merge.attends else taken
    return {name: tensor for name, tensor in reuse_initialisation(layer, window).items() if name.startswith(taken)}


def reuse_initialisation(layer: dict[str, Tensor], window: int) -> dict[str, Tensor]:
    """The tensors of a new compressor, made from those of the encoder layer before it.

    `layer` holds an `EncoderLayer`'s tensors, the result a `Compressor`'s, both under their
    checkpoint names. `window` is the number of tokens that become one (4). The attention and its
    norm are copied. The fused MLP computes the mean of the layer's MLP over the window's tokens:
    `linear_1` is block-diagonal, `linear_2` is the second matrix repeated and divided by
    `window`, and neither bias is scaled. The norm before it is the layer's second norm, repeated.

    The repeated norm spans the whole window. Norm and MLP together therefore equal the mean of
    the layer's norm and MLP only where the window's tokens have the same mean and variance. A
    window of equal tokens becomes what the layer makes of one of them. The result shares no
    memory with `layer`.
    """
    state = {name: tensor.clone() for name, tensor in layer.items() if name.startswith(("layer_norm1.", "self_attn."))}
    state["pre_norm.weight"] = layer["layer_norm2.weight"].repeat(window)
    state["pre_norm.bias"] = layer["layer_norm2.bias"].repeat(window)
    state["linear_1.weight"] = torch.block_diag(*[layer["mlp.fc1.weight"]] * window)  # type: ignore[no-untyped-call]
    state["linear_1.bias"] = layer["mlp.fc1.bias"].repeat(window)
    state["linear_2.weight"] = layer["mlp.fc2.weight"].repeat(1, window) / window
    state["linear_2.bias"] = layer["mlp.fc2.bias"].clone()
    return state
