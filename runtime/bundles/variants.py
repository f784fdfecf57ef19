"""The ways of encoding that LLaVA-UHD v4 compares (arXiv 2605.08985), each applied to the sizes of a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from uhd_edge.runtime.bundles.backbones import BACKBONE_NAMES, MOONVIT_TABLE
from uhd_edge.runtime.bundles.compressors import COMPRESSOR_NAMES
from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.runtime.bundles.backbones import BackboneName
    from uhd_edge.runtime.bundles.compressors import CompressorName, ConnectorName
    from uhd_edge.runtime.bundles.model_sizes import ModelSizes


@dataclass(frozen=True)
class Variant:
    """How patches become tokens. Without a `compressor`, all of it happens after the tower."""

    compressor: CompressorName | None = "window-reuse"
    connector: ConnectorName = "mlp"
    encoding: Literal["slices", "global"] = "slices"


VARIANTS: Final[Mapping[str, Variant]] = MappingProxyType(
    {
        **{name: Variant(name) for name in COMPRESSOR_NAMES},
        "post-vit": Variant(None),
        "post-vit-resampler": Variant(None, connector="resampler"),
        "window-reuse-resampler": Variant(connector="resampler"),
        "post-vit-global": Variant(None, encoding="global"),
        "window-reuse-global": Variant(encoding="global"),
    }
)


def find_variant(name: str) -> Variant:
    """Return the variant `name`; raises `OptionError` for another."""
    if name not in VARIANTS:
        raise OptionError(f"unknown variant {name!r}; valid are {', '.join(VARIANTS)}")
    return VARIANTS[name]


def find_backbone(name: str) -> BackboneName:
    """Return `name` as one of the backbones; raises `OptionError` for another."""
    for backbone in BACKBONE_NAMES:
        if name == backbone:
            return backbone
    raise OptionError(f"unknown backbone {name!r}; valid are {', '.join(BACKBONE_NAMES)}")


def stand_on(sizes: ModelSizes, backbone: BackboneName) -> ModelSizes:
    """Return the same model with another vision tower, in the same sizes but for MoonViT's own position table.

    Raises `OptionError` for the sizes of a MoonViT on SigLIP 2, whose table would not be known.
    """
    if backbone == sizes.vision.backbone:
        return sizes
    if backbone != "moonvit":
        raise OptionError(f"{sizes.name} has a {sizes.vision.backbone}, so its sizes with a {backbone} are not known")
    changes: dict[str, object] = {"backbone": backbone, "table_side": MOONVIT_TABLE}
    return replace(sizes, vision=sizes.vision.model_copy(update=changes))


def vary(sizes: ModelSizes, variant: Variant, *, insert_layer: int | None = None) -> ModelSizes:
    """Return the sizes of the same model as `variant`, at the same 16 patches for an embedding of a square view.

    `insert_layer` is the layer after which the compressor stands, where it is not that of `sizes`.
    Raises `OptionError` for a layer that the tower does not have, and unless `sizes` itself has a
    compressor and the MLP: what it merges would not be known otherwise.
    """
    vision = sizes.vision
    if not vision.has_both_modes:
        raise OptionError(f"{sizes.name} has no compressor or no MLP, so its variants are not known")
    layer = vision.insert_layer if insert_layer is None else insert_layer
    if not 0 <= layer < vision.layers:
        raise OptionError(f"no layer {layer}: the tower has layers 0 to {vision.layers - 1}")
    changes: dict[str, object] = {"insert_layer": layer, "connector": variant.connector}
    if variant.compressor is None:
        changes |= {"window": 1, "merge_rounds": vision.merge_rounds + 1, "insert_layer": vision.layers - 1}
    else:
        changes["compressor"] = variant.compressor
    if variant.connector == "resampler":
        side = sizes.preprocessing.scale_resolution // sizes.preprocessing.patch_size
        changes["queries"] = (side // (vision.window * vision.merge**vision.merge_rounds)) ** 2
    return replace(
        sizes,
        vision=vision.model_copy(update=changes),
        preprocessing=sizes.preprocessing.model_copy(update={"encoding": variant.encoding}),
    )
