"""`uhd flops`: how many operations it takes to encode an image."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from uhd_edge.cli.bundle import bundle_option, known_models_as_text, one_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.bundles.model_sizes import ModelSizes
    from uhd_edge.runtime.vision.flops_of_pictures import EncodingFlops

COUNTS = {
    "usual": "every matrix product of the graphs; a multiply-add is two operations",
    "paper": "as in the tables of LLaVA-UHD v4: attention counted twice and without windows, no connector",
}


@click.command(epilog=known_models_as_text())
@click.argument("folder", metavar="[BUNDLE]", required=False)
@bundle_option
@click.option("--model", metavar="NAME", help="Use the sizes of a known model instead, which need not be here.")
@click.option("--image", metavar="FILE", help="Count for this image.")
@click.option("--size", metavar="WxH", help="Count for an image of this size.  [default: one square view]")
@click.option("--patches", type=int, metavar="N", help="Count for one view of N patches.")
@click.option("--max-slices", type=click.IntRange(min=1), metavar="N", help="Most slices the image is cut into.")
@click.option(
    "--count",
    type=click.Choice(["usual", "paper"]),
    default="usual",
    show_default=True,
    help="How to count: as usual, or as in the LLaVA-UHD v4 paper.",
)
@click.option(
    "--insert-after", type=int, metavar="K", help="Count as if the compressor came after layer K, counted from 0."
)
@click.option(
    "--variant", metavar="NAME", help="Count as if encoded in another way of the paper's, such as cross-mean."
)
@click.option("--backbone", metavar="NAME", help="Count as if the vision tower were another, siglip2 or moonvit.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object with exact counts.")
def flops(
    folder: str | None,
    *,
    bundle: str | None,
    model: str | None,
    image: str | None,
    size: str | None,
    patches: int | None,
    max_slices: int | None,
    count: str,
    insert_after: int | None,
    variant: str | None,
    backbone: str | None,
    as_json: bool,
) -> None:
    """Count the operations of encoding an image with BUNDLE, or without it with the built-in uhd-tiny.

    16x and 4x are the modes of the bundle. post-vit is the baseline without the compressor, with
    the views of 16x. global encodes the whole image as one view in full size. A bundle without a
    compressor is post-vit itself.
    """
    from uhd_edge.runtime.vision.flops_of_pictures import flops_of_patches, flops_of_picture

    named = one_bundle(folder, bundle)
    require_one("a bundle or --model", named, model)
    require_one("--image, --size or --patches", image, size, patches)
    sizes = _varied(_with_compressor_after(_on(_sizes(named, model), backbone), insert_after), variant)
    if patches is None:
        width, height = _picture(sizes, image, size)
        counted = flops_of_picture(sizes, width, height, max_slices=max_slices, count=count)  # type: ignore[arg-type]
        what = f"a picture of {width} x {height} pixels"
    else:
        counted = flops_of_patches(sizes, patches, count=count)  # type: ignore[arg-type]  # click has checked it
        what = f"one view of {patches} patches"
    if as_json:
        click.echo(json.dumps({"model": sizes.name, "picture": what, "count": count, **_as_object(counted)}))
    else:
        click.echo("\n".join([f"{sizes.name}, {what}; GFLOPs: {COUNTS[count]}", "", *_table(sizes, counted)]))


def require_one(names: str, *given: object) -> None:
    """Raise a `UsageError` when more than one of the options is given."""
    if sum(value is not None for value in given) > 1:
        raise click.UsageError(f"give only one of {names}")


def _sizes(bundle: str | None, model: str | None) -> ModelSizes:
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.bundle_sizes import read_sizes
    from uhd_edge.runtime.bundles.known_models import KNOWN_MODELS, find_known
    from uhd_edge.runtime.errors import OptionError

    if model is None:
        return read_sizes(Bundle.open(bundle))
    known = find_known(model)
    if known is None:
        raise OptionError(f"unknown model {model!r}; give {', '.join(KNOWN_MODELS)}, or a bundle")
    return known.sizes


def _with_compressor_after(sizes: ModelSizes, layer: int | None) -> ModelSizes:
    from uhd_edge.runtime.errors import OptionError

    if layer is None:
        return sizes
    if not sizes.vision.has_compressor:
        raise OptionError(f"--insert-after {layer}: {sizes.name} has no compressor")
    if not 0 <= layer < sizes.vision.layers:
        raise OptionError(f"--insert-after {layer}: the tower has layers 0 to {sizes.vision.layers - 1}")
    return replace(sizes, vision=sizes.vision.model_copy(update={"insert_layer": layer}))


def _on(sizes: ModelSizes, backbone: str | None) -> ModelSizes:
    from uhd_edge.runtime.bundles.variants import find_backbone, stand_on

    if backbone is None or (found := find_backbone(backbone)) == sizes.vision.backbone:
        return sizes
    return replace(stand_on(sizes, found), name=f"{sizes.name} on {found}")


def _varied(sizes: ModelSizes, name: str | None) -> ModelSizes:
    from uhd_edge.runtime.bundles.variants import find_variant, vary

    return sizes if name is None else replace(vary(sizes, find_variant(name)), name=f"{sizes.name} as {name}")


def _picture(sizes: ModelSizes, image: str | None, size: str | None) -> tuple[int, int]:
    from uhd_edge.runtime.images.loading import load_image
    from uhd_edge.runtime.images.picture_size import picture_size

    if image is not None:
        return load_image(image).size
    side = sizes.preprocessing.scale_resolution
    return (side, side) if size is None else picture_size(size)


def _as_object(counted: Sequence[EncodingFlops]) -> dict[str, Any]:
    encodings = {
        one.encoding: {
            "views": one.views,
            "tokens": one.tokens,
            "flops": asdict(one.flops) | {"encoder": one.flops.encoder, "total": one.flops.total},
        }
        for one in counted
    }
    return {"encodings": encodings}


def _table(sizes: ModelSizes, counted: Sequence[EncodingFlops]) -> list[str]:
    before = sizes.vision.insert_layer + 1
    baseline = next(one.flops for one in counted if one.encoding == "post-vit")
    rows: list[tuple[str, list[str]]] = [
        ("", [one.encoding for one in counted]),
        ("views", [str(len(one.views)) for one in counted]),
        ("patches", [str(sum(one.views)) for one in counted]),
        ("tokens for the language model", [str(one.tokens) for one in counted]),
        ("patch embedding", [_giga(one.flops.patch_embedding) for one in counted]),
        (_layers(0, before - 1), [_giga(one.flops.layers_before) for one in counted]),
        ("compressor", [_giga(one.flops.compressor) for one in counted]),
        (_layers(before, sizes.vision.layers - 1), [_giga(one.flops.layers_after) for one in counted]),
        ("encoder", [_giga(one.flops.encoder) for one in counted]),
        ("encoder beside post-vit", [_beside(one.flops.encoder, baseline.encoder) for one in counted]),
        ("connector", [_giga(one.flops.connector) for one in counted]),
        ("total", [_giga(one.flops.total) for one in counted]),
    ]
    label = max(len(name) for name, _ in rows)
    width = max(len(cell) for _, cells in rows for cell in cells)
    return [f"{name:<{label}}{''.join(f'  {cell:>{width}}' for cell in cells)}".rstrip() for name, cells in rows]


def _layers(first: int, last: int) -> str:
    return f"layers {first} to {last}" if first <= last else "no layers after it"


def _giga(flops: int) -> str:
    if flops == 0:
        return "0"
    return f"{flops / 1e9:.1f}" if flops >= 1e11 else f"{flops / 1e9:.2f}"


def _beside(flops: int, baseline: int) -> str:
    return f"{100 * (flops / baseline - 1):+.1f} %" if flops != baseline else ""
