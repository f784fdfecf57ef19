"""What encoding a picture takes in each of the ways that are compared.

| encoding | views | layers | compressor |
|---|---|---|---|
| 16x | thumbnail and slices | a quarter of the tokens after the compressor | yes |
| 4x | thumbnail and slices, on 4x's finer grid | all patches in all layers | no |
| post-vit | those of 16x | all patches in all layers | no |
| global | one: the whole picture at its own resolution | all patches in all layers | no |

*post-vit* is the baseline that the compressor is measured against: the same views, and
nothing is compressed before the connector. *global* is encoding without slices: the picture
is one view of its own width and height, rounded to whole squares of the connector, and every
patch attends to every other, so that attention grows with the square of the picture. In all
four the connector is the bundle's own and reads what the tower gives, a quarter as much in
16x as in the others. A model without a compressor is that baseline itself: its only mode is
counted as post-vit, beside global. One with a resampler has no 4x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from uhd_edge.runtime.vision.flops import NO_FLOPS, Flops, patches_per_token, view_flops
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.runtime.bundles.model_sizes import ModelSizes
    from uhd_edge.runtime.vision.flops import Count

Encoding: TypeAlias = Literal["16x", "4x", "post-vit", "global"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)


@dataclass(frozen=True)
class EncodingFlops:
    """What one way of encoding takes: patches of each view, embeddings for the language model, operations."""

    encoding: Encoding
    views: tuple[int, ...]
    tokens: int
    flops: Flops


def flops_of_picture(
    model: ModelSizes, width: int, height: int, *, max_slices: int | None = None, count: Count = "usual"
) -> list[EncodingFlops]:
    """Count a picture of `width` x `height` pixels in every encoding, cut as `plan_views` does; raises as it does."""

    def sliced(mode: Literal["16x", "4x"]) -> tuple[int, ...]:
        plan = plan_views(width, height, model.preprocessing, mode=mode, max_slices=max_slices)
        return tuple(rows * columns for rows, columns in plan.views)

    views: Mapping[Encoding, tuple[int, ...]] = {
        "16x": sliced("16x"),
        "4x": sliced("4x"),
        "post-vit": sliced("16x"),
        "global": (_global_patches(model, width, height),),
    }
    return [_count(model, encoding, views[encoding], count) for encoding in encodings_of(model)]


def flops_of_patches(model: ModelSizes, patches: int, *, count: Count = "usual") -> list[EncodingFlops]:
    """Count one view of `patches` patches in every encoding; raises `OptionError` as `view_flops` does.

    Without a picture to slice, 4x, post-vit and global are the same.
    """
    return [_count(model, encoding, (patches,), count) for encoding in encodings_of(model)]


def encodings_of(model: ModelSizes) -> tuple[Encoding, ...]:
    """The encodings that a model can be counted in."""
    if not model.vision.has_compressor:
        return ("post-vit", "global")
    return ENCODINGS if model.vision.has_both_modes else ("16x", "post-vit", "global")


def _count(model: ModelSizes, encoding: Encoding, views: tuple[int, ...], count: Count) -> EncodingFlops:
    compressed = encoding == "16x"
    flops = sum((view_flops(model, patches, compressed=compressed, count=count) for patches in views), NO_FLOPS)
    queries = model.vision.queries
    tokens = sum(views) // patches_per_token(model, compressed=compressed) if queries is None else queries * len(views)
    return EncodingFlops(encoding, views, tokens, flops)


def _global_patches(model: ModelSizes, width: int, height: int) -> int:
    block: int = model.vision.merge**model.vision.merge_rounds
    rows, columns = (
        max(1, round(length / (block * model.preprocessing.patch_size))) * block for length in (height, width)
    )
    return rows * columns
