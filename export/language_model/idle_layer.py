"""A recurrent layer that changes nothing, behind the layers of a Qwen3.5 that has attention alone.

llama.cpp 0.3.36 runs Qwen3.5 as a hybrid, and ends the program where no layer is recurrent. All
weights of the layer added here are zero: so is what its two halves add to the values that pass it.
It costs the time and the memory of one layer's feed-forward network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.export.checkpoint.tensors import TEXT, text_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from uhd_edge.export.checkpoint.tensors import Shape
    from uhd_edge.export.checkpoint.text_config import TextConfig
    from uhd_edge.export.language_model.text_checkpoint import Tensors

# One head of the size that Qwen3.5's have: the least that llama.cpp's kernels are made for.
_LINEAR = {
    "linear_num_key_heads": 1,
    "linear_num_value_heads": 1,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
}


@dataclass(frozen=True)
class WithIdleLayer:
    """The tensors of a checkpoint, and those of the idle layer, which are zero."""

    tensors: Tensors
    idle: Mapping[str, Shape]

    @property
    def names(self) -> Sequence[str]:
        """The names of all tensors."""
        return [*self.tensors.names, *self.idle]

    def tensor(self, name: str) -> NDArray[Any]:
        """Read one tensor, or make one of the type that the embeddings have."""
        if name not in self.idle:
            return self.tensors.tensor(name)
        return np.zeros(self.idle[name], self.tensors.tensor(f"{TEXT}embed_tokens.weight").dtype)


def needs_idle_layer(text: TextConfig) -> bool:
    """Whether the model is a Qwen3.5 without recurrent layers."""
    return text.model_type == "qwen3_5_text" and not any(map(text.is_linear, range(text.num_hidden_layers)))


def add_idle_layer(
    text: TextConfig, text_config: Mapping[str, Any], tensors: Tensors
) -> tuple[dict[str, Any], WithIdleLayer]:
    """Return the text model's configuration and tensors with one more layer."""
    layers = text.num_hidden_layers
    kinds = [*["full_attention"] * layers, "linear_attention"]
    added = {**_LINEAR, "num_hidden_layers": layers + 1, "layer_types": kinds}
    larger = text.model_copy(update={**added, "layer_types": tuple(kinds)})
    prefix = f"layers.{layers}."
    idle = {TEXT + name: shape for name, shape in text_tensors(larger).items() if name.startswith(prefix)}
    return {**text_config, **added}, WithIdleLayer(tensors, idle)
