"""Build an encoder with padded attention heads too, and keep the faster of both engines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from uhd_edge.engines.building.build import build_if_accepted
from uhd_edge.engines.graph_files import count_operators
from uhd_edge.engines.tensorrt.gpu import first_gpu
from uhd_edge.runtime.errors import EngineUnavailableError, UhdError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from uhd_edge.engines.building.build import EngineOrder
    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.engines.building.targets import Target
    from uhd_edge.engines.tensorrt.library import Backend

    # The milliseconds of one run: (engine file, backend, shapes of the inputs).
    Timer = Callable[[Path, Backend, dict[str, tuple[int, ...]]], float]

# A difference below this may be chance, and the plain engine stays.
WORTH = 0.98


def why_not_measured(target: Target) -> str | None:
    """Why engines for `target` cannot be timed on this machine; None if they can."""
    try:
        gpu = first_gpu()
    except EngineUnavailableError:
        return "there is no GPU here"
    if target.compute_capability not in (None, gpu.compute_capability):
        return f"{gpu.name} is not what they are for"
    return None


def pad_heads(
    bundle: Path, orders: Sequence[EngineOrder], write_padded: Callable[[Path, Path], None]
) -> list[EngineOrder]:
    """Order the FP16 encoders among `orders` with padded attention heads."""
    return [replace(order, write_padded=write_padded) if _attends(bundle, order) else order for order in orders]


def with_faster_heads(
    bundle: Path,
    orders: Sequence[EngineOrder],
    records: Sequence[EngineRecord],
    *,
    target: Target,
    write_padded: Callable[[Path, Path], None],
    timer: Timer,
    progress: Callable[[str], None],
) -> list[EngineRecord]:
    """Return `records`, those that were built by `orders`, with each encoder that is faster padded in its place.

    Both engines of an encoder are timed by `timer` in the usual shape. What cannot be padded, built or timed is
    told to `progress`, and the plain engine stays.
    """
    kept = []
    for order, record in zip(orders, records, strict=True):
        faster = None
        if _attends(bundle, order):
            try:
                faster = _padded_if_faster(
                    bundle, order, record, target=target, write_padded=write_padded, timer=timer, progress=progress
                )
            except UhdError as error:
                progress(f"{order.name}: stays plain; padded attention heads were not measured: {error}")
        kept.append(record if faster is None else faster)
    return kept


def _attends(bundle: Path, order: EngineOrder) -> bool:
    """Whether there are heads to pad: INT8 weights are not padded, and connectors have no attention."""
    return order.precision == "fp16" and count_operators(bundle / order.graph, "Softmax") > 0


def _padded_if_faster(
    bundle: Path,
    order: EngineOrder,
    record: EngineRecord,
    *,
    target: Target,
    write_padded: Callable[[Path, Path], None],
    timer: Timer,
    progress: Callable[[str], None],
) -> EngineRecord | None:
    shapes = {name: span.usual for name, span in order.profiles[0].items()}
    plain = timer(record.path, record.backend, shapes)

    def accept(file: Path) -> bool:
        padded = timer(file, record.backend, shapes)
        taken = padded < WORTH * plain
        progress(
            f"{order.name}: {plain:.3g} ms plain, {padded:.3g} ms with padded attention heads: "
            f"{'padded' if taken else 'plain'} is kept"
        )
        return taken

    progress(f"{order.name} with padded attention heads")
    padded = replace(order, write_padded=write_padded)
    return build_if_accepted(bundle, padded, target=target, accept=accept, progress=progress)
