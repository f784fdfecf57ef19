"""What to build for a bundle: which graphs become engines, and for which shapes.

The shapes follow from the bundle's own preprocessing and from the limits that the encoder
keeps to. `uhd_edge.engines.building.profiles` derives them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from uhd_edge.engines.building.build import EngineOrder
from uhd_edge.engines.building.kit import KitContents
from uhd_edge.engines.building.profiles import Slicing, connector_profile, encoder_profiles, widen_profiles
from uhd_edge.engines.building.targets import BuiltPrecision
from uhd_edge.engines.graph_files import graph_files
from uhd_edge.runtime.bundles.how_to_calibrate import how_to_calibrate
from uhd_edge.runtime.bundles.int8_record import check_sums
from uhd_edge.runtime.errors import EngineUnavailableError, OptionError
from uhd_edge.runtime.vision.encoding import BATCH_PATCHES
from uhd_edge.runtime.vision.patches import UNCOMPRESSED
from uhd_edge.runtime.vision.reference import reference_kind
from uhd_edge.runtime.vision.slicing import BLOCK_SIDES, largest_view, usual_view

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.engines.building.profiles import Profile
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import GraphKind, Graphs, Manifest
    from uhd_edge.runtime.modes import Mode

# The graph that TensorRT takes for each precision.
KINDS: dict[BuiltPrecision, GraphKind] = {"fp16": "fp16", "int8": "int8-tensorrt", "fp8": "fp8", "nvfp4": "nvfp4"}


def engine_orders(
    bundle: Bundle,
    *,
    modes: Sequence[Mode],
    precision: BuiltPrecision,
    max_slices: int | None = None,
    largest: int | None = None,
) -> list[EngineOrder]:
    """List the engines that `bundle` needs to run `modes` in `precision`, connectors that are one file once.

    `max_slices` is the most slices an image will be cut into, the bundle's own number
    without it. `largest` is the most patches of a view, the runtime's limit without it. Raises
    `OptionError` when one of them cannot be, `EngineUnavailableError` when the
    bundle has no such graphs, and `EngineRefusedError` when its INT8 or FP8 would overflow in FP16.
    """
    manifest = bundle.manifest
    limit = manifest.preprocessing.max_slices if max_slices is None else max_slices
    if limit < 1:
        raise OptionError(f"max_slices is {limit}; it must be 1 (the thumbnail alone) or more")
    if manifest.preprocessing.encoding == "global":
        raise EngineUnavailableError(
            f"{bundle.path}: encodes images whole, in views of any size, for which no engine can be built ahead of "
            "time; use onnxruntime or openvino"
        )
    kind = KINDS[precision]
    if precision != "fp16":
        check_sums(bundle, kind)
    slicings: dict[Mode, Slicing] = {mode: _slicing(manifest, mode, limit, largest) for mode in modes}
    encoders: dict[str, list[Mode]] = {}
    connectors: dict[str, list[Mode]] = {}
    for mode in slicings:
        graphs = _graphs(bundle, mode, kind)
        encoders.setdefault(graphs.encoder, []).append(mode)
        connectors.setdefault(graphs.connector, []).append(mode)
    return [
        *(_encoder_order(manifest, precision, graph, served, slicings) for graph, served in encoders.items()),
        *(_connector_order(manifest, precision, graph, served, slicings) for graph, served in connectors.items()),
    ]


def _encoder_order(
    manifest: Manifest, precision: BuiltPrecision, graph: str, served: Sequence[Mode], slicings: Mapping[Mode, Slicing]
) -> EngineOrder:
    kind = KINDS[precision]
    profiles = [profile for mode in served for profile in _encoder_profiles(manifest, mode, kind, slicings[mode])]
    # An engine for one of the modes that a graph serves has another name than one for both.
    alone = tuple(f"encoder-{mode}-{precision}" for mode in served)
    if len(served) == 1:
        return EngineOrder(alone[0], graph, precision, tuple(profiles))
    return EngineOrder(f"encoder-{precision}", graph, precision, tuple(profiles), replaces=alone)


def _connector_order(
    manifest: Manifest, precision: BuiltPrecision, graph: str, served: Sequence[Mode], slicings: Mapping[Mode, Slicing]
) -> EngineOrder:
    # The name follows from the bundle, not from the modes that are built now: one mode's connector would else
    # take the place of another's.
    in_bundle = {mode: kinds[KINDS[precision]] for mode, kinds in manifest.graphs.items() if KINDS[precision] in kinds}
    is_only_one = len({graphs.connector for graphs in in_bundle.values()}) == 1
    patches_per_feature = {slicings[mode]: manifest.vision.window**2 if mode == "16x" else 1 for mode in served}
    return EngineOrder(
        f"connector-{precision}" if is_only_one else f"connector-{served[0]}-{precision}",
        graph,
        precision,
        connector_profile(patches_per_feature, width=manifest.vision.feature_width),
        shared=any(graphs.connector == graph for mode, graphs in in_bundle.items() if mode not in served),
    )


def keep_other_modes(orders: Sequence[EngineOrder], built: Sequence[EngineRecord], target: str) -> list[EngineOrder]:
    """Widen the shapes of engines that also serve modes which are not built now.

    `built` are the bundle's engines. What one of `orders` replaces for `target` keeps its shapes beside the new
    ones. Where nothing was built, an order is no longer called shared.
    """
    former = {
        (record.path.stem, record.graph): record.profiles for record in built if record.path.parent.name == target
    }
    widened = []
    for order in orders:
        shapes = former.get((order.name, order.graph)) if order.shared else None
        profiles = order.profiles if shapes is None else widen_profiles(order.profiles, shapes)
        widened.append(replace(order, profiles=profiles, shared=shapes is not None))
    return widened


def has_reference(bundle: Bundle, modes: Sequence[Mode]) -> bool:
    """Whether there is what engines of all `modes` are compared with: FP32 graphs, or FP16 ones instead."""
    return all(reference_kind(bundle, mode) is not None for mode in modes)


def _graphs(bundle: Bundle, mode: Mode, kind: GraphKind) -> Graphs:
    graphs = bundle.manifest.graphs.get(mode, {}).get(kind)
    if graphs is None:
        made = f"make them: {how_to_calibrate(bundle.manifest, kind, bundle.path)}"
        remedy = "export the bundle with them" if kind == "fp16" else made
        raise EngineUnavailableError(
            f"{bundle.path}: no {mode} graphs in {kind}; the bundle has {bundle.describe_graphs()}; {remedy}"
        )
    return graphs


def _encoder_profiles(manifest: Manifest, mode: Mode, kind: GraphKind, slicing: Slicing) -> tuple[Profile, ...]:
    def uncompressed(patches: int) -> int:
        return 0 if mode == "16x" else patches // manifest.vision.window**2

    more = {UNCOMPRESSED: uncompressed} if manifest.graphs[mode][kind].both_modes else {}
    return encoder_profiles(slicing, patch_values=3 * manifest.preprocessing.patch_size**2, more=more)


def _slicing(manifest: Manifest, mode: Mode, max_slices: int, largest: int | None) -> Slicing:
    preprocessing = manifest.preprocessing
    usual, most = usual_view(preprocessing, mode), largest_view(preprocessing)
    if largest is not None and not usual <= largest <= most:
        raise OptionError(f"the largest view is {largest} patches; it must be from {usual}, a square view, to {most}")
    return Slicing(
        scale=preprocessing.scale_resolution,
        patch=preprocessing.patch_size,
        block=BLOCK_SIDES[mode],
        max_slices=max_slices if preprocessing.slicing else 1,
        largest_view=most if largest is None else largest,
        batch_patches=BATCH_PATCHES,
    )


def kit_contents(
    bundle: Bundle,
    *,
    modes: Sequence[Mode],
    precisions: Sequence[BuiltPrecision],
    max_slices: int | None = None,
    largest: int | None = None,
) -> KitContents:
    """Choose the part of `bundle` that a device needs to build and verify `modes` in `precisions`.

    The graphs that engines are compared with go along, FP32 ones where there are any. Raises
    `EngineError` when a graph cannot be read.
    """
    manifest = bundle.manifest
    kinds = [KINDS[precision] for precision in precisions]
    graphs = {
        mode: {
            kind: pair for kind, pair in manifest.graphs[mode].items() if kind in (reference_kind(bundle, mode), *kinds)
        }
        for mode in manifest.graphs
        if mode in modes
    }
    named = {
        name for by_kind in graphs.values() for pair in by_kind.values() for name in (pair.encoder, pair.connector)
    }
    files = {manifest.llm.file}
    for name in named:
        files |= {file.relative_to(bundle.path).as_posix() for file in graph_files(bundle.path / name)}
    part = manifest.model_copy(
        update={
            "graphs": graphs,
            "default_mode": manifest.default_mode if manifest.default_mode in graphs else next(iter(graphs)),
            "calibration": None,
            "files": {name: record for name, record in manifest.files.items() if name in files},
        }
    )
    return KitContents(
        bundle.path,
        part.model_dump_json(indent=2) + "\n",
        tuple(sorted(files)),
        ",".join(graphs),
        manifest.preprocessing.max_slices if max_slices is None else max_slices,
        largest_view(manifest.preprocessing) if largest is None else largest,
    )
