"""The graphs with padded attention heads that go into a kit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.engines.errors import UhdError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from uhd_edge.engines.building.build import EngineOrder


def padded_name(order: EngineOrder) -> str:
    """Name the graph of `order` with padded heads, in a bundle."""
    return f"{order.graph.removesuffix('.onnx')}-padded.onnx"


def write_padded_graphs(
    bundle: Path, orders: Sequence[EngineOrder], folder: Path, tell: Callable[[str], None] | None
) -> tuple[list[EngineOrder], dict[str, Path]]:
    """Write the padded graphs that `orders` ask for into `folder`; returns the orders, and the graphs by their names.

    This is the first step, so that heads that cannot be padded are known before gigabytes are copied. With `tell`,
    which is told of them, their orders become plain ones; without it they are an error.
    """
    kept, written = [], {}
    for order in orders:
        name = padded_name(order)
        if order.write_padded is not None:
            file = folder / Path(name).name
            try:
                order.write_padded(bundle / order.graph, file)
                written[name] = file
            except UhdError as error:
                if tell is None:
                    raise
                tell(f"{order.name}: stays plain: {error}")
        kept.append(order if name in written else replace(order, write_padded=None))
    return kept, written
