"""The positions of a MoonViT as ONNX operators, all from the position ids: one graph serves every grid.

The same numbers as `uhd_edge.export.rotary`. The table is stretched patch by patch, by the 4 x 4 entries
around the place of each: an operator `Resize` would need the grid's sides as the shape of a tensor, which
TensorRT could not take from the position ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from uhd_edge.export import places as numbers
from uhd_edge.export.places import angles, frequencies, window_places
from uhd_edge.runtime.bundles.backbones import PLACES

if TYPE_CHECKING:
    from typing import Literal

    from uhd_edge.export.graphs.graph_builder import GraphBuilder
    from uhd_edge.export.tower_config import TowerConfig

SCOPE = "vision_tower.places"
TAPS = 4  # entries along each side that bicubic interpolation reads
# The weights of the taps as polynomials of the distance t from the second one: row i has the factors of
# t**i. They are torch's, of cubic convolution with a = -0.75.
CUBIC = np.array([[0, 1, 0, 0], [-0.75, 0, 0.75, 0], [1.5, -2.25, 1.5, -0.75], [-0.75, 1.25, -1.25, 0.75]], np.float32)


@dataclass(frozen=True)
class Places:
    """Rows and columns of tokens: float32 [B, T, 1] each."""

    rows: ir.Value
    columns: ir.Value


@dataclass(frozen=True)
class Turns:
    """Cosines and sines of the angles by which the halves of heads turn: float32 [.., T, 1, head / 2]."""

    cosines: ir.Value
    sines: ir.Value


def patch_places(graph: GraphBuilder, position_ids: ir.Value) -> Places:
    """[B, N] -> the row and the column of every patch; exact, because `PLACES` is a power of two."""
    ids = graph.node("Cast", SCOPE, [position_ids], {"to": ir.DataType.FLOAT.value})
    ids = graph.node("Unsqueeze", SCOPE, [ids, graph.integers(2)])
    rows = graph.node("Floor", SCOPE, [graph.node("Mul", SCOPE, [ids, graph.number(1 / PLACES, "a_place")])])
    before = graph.node("Mul", SCOPE, [rows, graph.number(PLACES, "places")])
    return Places(rows, graph.node("Sub", SCOPE, [ids, before]))


def table_places(graph: GraphBuilder, config: TowerConfig, position_ids: ir.Value) -> Places:
    """[B, N] -> the row and the column of every patch's entry in a SigLIP's position table."""
    table = numbers.table_places(config.table_side)
    rows, columns = (
        graph.node("Gather", SCOPE, [graph.numbers(table[:, axis : axis + 1], name), position_ids], {"axis": 0})
        for axis, name in enumerate(("table_rows", "table_columns"))
    )
    return Places(rows, columns)


def stretched_table(graph: GraphBuilder, config: TowerConfig, table: ir.Value, places: Places) -> ir.Value:
    """[S * S, d] -> [B, N, d]: what bicubic interpolation of the table to each view's grid gives every patch."""
    scope, side = f"{SCOPE}.table", config.table_side
    (row_ids, row_weights), (column_ids, column_weights) = (
        _taps(graph, axis, side) for axis in (places.rows, places.columns)
    )
    row_ids = graph.node("Mul", scope, [row_ids, graph.number(side, "table_side")])
    ids = _pairs(graph, "Add", row_ids, column_ids)
    indices = graph.integer_node("Cast", scope, [ids], {"to": ir.DataType.INT64.value})
    weights = _pairs(graph, "Mul", row_weights, column_weights)

    def weighted(tap: int) -> ir.Value:
        """[B, N, d]."""
        index = graph.integer_node("Gather", scope, [indices, graph.integer(tap)], {"axis": 2})
        entry = graph.node("Gather", scope, [table, index], {"axis": 0})
        weight = graph.node("Gather", scope, [weights, graph.integers(tap)], {"axis": 2})
        return graph.node("Mul", scope, [entry, weight])

    total = weighted(0)
    for tap in range(1, TAPS * TAPS):
        total = graph.node("Add", scope, [total, weighted(tap)])
    return total


def _taps(graph: GraphBuilder, axis: ir.Value, side: int) -> tuple[ir.Value, ir.Value]:
    """[B, N, 1] -> along one side of the table, which entries to read, and their weights: [B, N, 4] each."""
    scope = f"{SCOPE}.table"
    half, one = graph.number(0.5, "half"), graph.number(1, "one")
    last = graph.node("ReduceMax", scope, [axis, graph.integers(1)], {"keepdims": 1})
    step = graph.node("Div", scope, [graph.number(side, "table_side"), graph.node("Add", scope, [last, one])])
    place = graph.node("Mul", scope, [graph.node("Add", scope, [axis, half]), step])
    place = graph.node("Sub", scope, [place, half])
    first = graph.node("Floor", scope, [place])
    distance = graph.node("Sub", scope, [place, first])
    taps = graph.node("Add", scope, [first, graph.numbers(np.arange(-1, TAPS - 1, dtype=np.float32), "taps")])
    inside = [graph.number(0, "zero"), graph.number(side - 1, "last_entry")]
    taps = graph.node("Min", scope, [graph.node("Max", scope, [taps, inside[0]]), inside[1]])
    weights = graph.numbers(CUBIC[TAPS - 1], f"cubic_{TAPS - 1}")
    for power in reversed(range(TAPS - 1)):
        product = graph.node("Mul", scope, [weights, distance])
        weights = graph.node("Add", scope, [product, graph.numbers(CUBIC[power], f"cubic_{power}")])
    return taps, weights


def _pairs(graph: GraphBuilder, operator: str, rows: ir.Value, columns: ir.Value) -> ir.Value:
    """[B, N, 4] and [B, N, 4] -> [B, N, 16]: every row with every column."""
    scope = f"{SCOPE}.table"
    rows = graph.node("Unsqueeze", scope, [rows, graph.integers(3)])
    columns = graph.node("Unsqueeze", scope, [columns, graph.integers(2)])
    return graph.node(
        "Reshape", scope, [graph.node(operator, scope, [rows, columns]), graph.integers(0, 0, TAPS * TAPS)]
    )


def turns_at(graph: GraphBuilder, config: TowerConfig, places: Places) -> Turns:
    """Make the turns of tokens at `places`: columns first, then rows."""
    speeds = graph.numbers(frequencies(config.head), "turn_frequencies")
    waves = [graph.node("Mul", SCOPE, [axis, speeds]) for axis in (places.columns, places.rows)]
    turned = graph.node("Unsqueeze", SCOPE, [graph.node("Concat", SCOPE, waves, {"axis": -1}), graph.integers(2)])
    return Turns(graph.node("Cos", SCOPE, [turned]), graph.node("Sin", SCOPE, [turned]))


def window_turns(
    graph: GraphBuilder, config: TowerConfig, query: Literal["mean", "top-left"] | None = None
) -> Turns | None:
    """The turns of the tokens of a window, or of its one query; None in a tower whose tokens do not turn."""
    if not config.turns:
        return None
    turned = angles(window_places(config.window, query), config.head)[:, None]
    name = f"{query or 'window'}_turn"
    return Turns(graph.numbers(np.cos(turned), f"{name}_cosines"), graph.numbers(np.sin(turned), f"{name}_sines"))


def turn(graph: GraphBuilder, tokens: ir.Value, scope: str, turns: Turns | None, head: int) -> ir.Value:
    """Turn the halves of every head of [.., T, heads, head], whose numbers are in `halves_order`."""
    if turns is None:
        return tokens
    start, middle, end, axis = (graph.integers(number) for number in (0, head // 2, head, -1))
    first = graph.node("Slice", scope, [tokens, start, middle, axis])
    second = graph.node("Slice", scope, [tokens, middle, end, axis])

    def times(half: ir.Value, wave: ir.Value) -> ir.Value:
        return graph.node("Mul", scope, [half, wave])

    across = graph.node("Sub", scope, [times(first, turns.cosines), times(second, turns.sines)])
    along = graph.node("Add", scope, [times(first, turns.sines), times(second, turns.cosines)])
    return graph.node("Concat", scope, [across, along], {"axis": -1})


def first_places(graph: GraphBuilder, config: TowerConfig, places: Places) -> Places:
    """[B, N, 1] each -> [B, N / window, 1]: where the first patch of every window is."""

    def first(axis: ir.Value) -> ir.Value:
        windows = graph.node("Reshape", SCOPE, [axis, graph.integers(0, -1, config.window)])
        return graph.node("Slice", SCOPE, [windows, graph.integers(0), graph.integers(1), graph.integers(2)])

    return Places(first(places.rows), first(places.columns))


def merged_places(
    graph: GraphBuilder, config: TowerConfig, places: Places, border: tuple[ir.Value, ir.Value] | None = None
) -> Places:
    """Where tokens are when windows have become one: rows and columns of the grid that is left.

    `border` is the number of windows that become one, the first ones, and the number of all, int64 [1]
    each; the patches of the others stay where they are. Without it all become one.
    """
    merged = first_places(graph, config, places)
    side = graph.number(float(np.sqrt(config.window)), "window_side")

    def merge(first: ir.Value, every: ir.Value) -> ir.Value:
        ours = graph.node("Div", SCOPE, [first, side])
        if border is None:
            return ours
        axis, (end, count) = graph.integers(1), border
        ours = graph.node("Slice", SCOPE, [ours, graph.integers(0), end, axis])
        windows = graph.node("Reshape", SCOPE, [every, graph.integers(0, -1, config.window)])
        rest = graph.node("Slice", SCOPE, [windows, end, count, axis])
        rest = graph.node("Reshape", SCOPE, [rest, graph.integers(0, -1, 1)])
        return graph.node("Concat", SCOPE, [ours, rest], {"axis": 1})

    return Places(merge(merged.rows, places.rows), merge(merged.columns, places.columns))
