"""Tables about FP16: how much of its range a tower uses, and what simulated engines compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.calibration.fp16_range import LayerRange
    from uhd_edge.calibration.simulation.simulate import Simulation


def range_table(layers: Sequence[LayerRange]) -> list[str]:
    """Format the largest values of each layer."""
    rows = [("mode", "layer", "largest in FP16", "where", "of 65504", "largest in FP32")]
    rows += [
        (
            layer.mode,
            layer.layer,
            f"{layer.half:.4g}" if layer.operator else "none",
            layer.operator,
            f"{100 / layer.headroom:.2g} %" if layer.headroom >= 1 else "OVERFLOW",
            f"{layer.full:.4g}",
        )
        for layer in layers
    ]
    return aligned(rows)


def simulation_table(simulations: Sequence[Simulation]) -> list[str]:
    """Format the cosines of each mode, and the sums of each quantized product."""
    lines = [
        f"{one.mode}: {one.numbers} simulated as TensorRT computes: lowest cosine {one.agreement.lowest_cosine:.6f}, "
        f"worst token {one.agreement.lowest_token_cosine:.6f}, {one.overflow} of {one.sums} {one.numbers} sums "
        "overflow in FP16"
        for one in simulations
    ]
    rows = [("mode", "product", "sums", "overflow", "largest in FP16", "of 65504")]
    rows += [
        (
            simulation.mode,
            linear.name,
            str(linear.count.sums),
            str(linear.count.overflow),
            f"{linear.count.largest:.4g}",
            f"{linear.count.largest / 655.04:.2g} %",
        )
        for simulation in simulations
        for linear in simulation.linears
    ]
    return [*lines, "", *aligned(rows)]


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Pad the cells of each column to one width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
