"""The fields of `vision_config` in a checkpoint's `config.json`: those of a SigLIP 2, and those of a MoonViT."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from uhd_edge.export.checkpoint.text_config import Count, Fields, Layers
from uhd_edge.runtime.bundles.backbones import EPSILONS, MOONVIT_TABLE, BackboneName
from uhd_edge.runtime.bundles.compressors import CompressorName

Square = tuple[Count, Count]
MOONVIT = "moonvit"  # its `model_type`
_EPSILON = EPSILONS["moonvit"]


class VisionFields(Fields):
    """The fields of a SigLIP 2, with the defaults that all these models share."""

    hidden_size: Count = 768
    intermediate_size: Count = 3072
    num_hidden_layers: Layers = 12
    num_attention_heads: Count = 12
    num_channels: Literal[3] = 3
    image_size: Count = 224
    patch_size: Count = 16
    hidden_act: Literal["gelu_pytorch_tanh"] = "gelu_pytorch_tanh"
    layer_norm_eps: Annotated[float, Field(gt=0)] = 1e-6
    window_kernel_size: Square = (2, 2)
    compressor: CompressorName = "window-reuse"  # of our own training; transformers knows this one alone

    @property
    def backbone(self) -> BackboneName:
        """The kind of tower."""
        return "siglip2"

    @property
    def table_side(self) -> int:
        """Entries along each side of the position table."""
        return self.image_size // self.patch_size

    def problem(self) -> str | None:
        """What the graphs cannot reproduce, in a few words."""
        if self.hidden_size % self.num_attention_heads:
            return f"hidden_size {self.hidden_size} cannot be divided by num_attention_heads {self.num_attention_heads}"
        if self.image_size < self.patch_size:
            return f"image_size {self.image_size} is smaller than patch_size {self.patch_size}"
        return None


class MoonVitFields(VisionFields):
    """The fields of a MoonViT, with the defaults of `MoonViTConfig` in Moonshot's code.

    Its norms are torch's own, and its table has no size in pixels.
    """

    hidden_size: Count = 1152
    intermediate_size: Count = 4304
    num_hidden_layers: Layers = 27
    num_attention_heads: Count = 16
    patch_size: Count = 14
    layer_norm_eps: Annotated[float, Field(ge=_EPSILON, le=_EPSILON)] = _EPSILON
    init_pos_emb_height: Count = MOONVIT_TABLE
    init_pos_emb_width: Count = MOONVIT_TABLE

    @property
    def backbone(self) -> BackboneName:
        """The kind of tower."""
        return "moonvit"

    @property
    def table_side(self) -> int:
        """Entries along each side of the position table."""
        return self.init_pos_emb_height

    def problem(self) -> str | None:
        """What the graphs cannot reproduce, in a few words."""
        if self.init_pos_emb_height != self.init_pos_emb_width:
            sides = f"{self.init_pos_emb_height} x {self.init_pos_emb_width}"
            return f"a position table of {sides} is not supported; only squares are"
        if self.hidden_size % (4 * self.num_attention_heads):
            return (
                f"hidden_size {self.hidden_size} is not divided by num_attention_heads {self.num_attention_heads} "
                "into heads of a multiple of 4 numbers"
            )
        return None
