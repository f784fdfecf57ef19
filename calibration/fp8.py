"""The steps that lead to FP8 and NVFP4 graphs: fewer than INT8's, for such a number is as exact when it is small.

Smoothing evens out channels, which FP8's exponent does by itself. Nor is a range worth choosing: a narrower one
makes no number more exact. What can help is to correct the biases (see `ranges/biases.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from uhd_edge.calibration.flavours import Outcome, Step, exclude_worst, measured_errors, without_connector
from uhd_edge.calibration.graphs.graph_files import graph_paths
from uhd_edge.calibration.ranges.biases import mean_losses
from uhd_edge.calibration.ranges.fp8 import fp8_scale, round_to_fp8
from uhd_edge.calibration.ranges.layer_error import rounded_to_fp8
from uhd_edge.calibration.ranges.linears import find_sites
from uhd_edge.calibration.ranges.nvfp4 import BLOCK
from uhd_edge.calibration.ranges.plan import QuantizationPlan
from uhd_edge.calibration.ranges.ranges import ROOM, full_range
from uhd_edge.calibration.ranges.rounding import Range
from uhd_edge.calibration.ranges.smoothing import Smoothing
from uhd_edge.calibration.trials import measure_plans, simulate_plan
from uhd_edge.export.graphs.compressor_graphs import COMPRESSOR

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.calibration.prepared import Prepared
    from uhd_edge.calibration.ranges.plan import Flavour


def settle_fp8(prepared: Prepared, flavour: Flavour) -> Outcome:
    """Quantize every linear of the tower, correct biases, and leave out the worst until the graphs reach the goal."""
    prepared.work.begin(f"{flavour.kind}: naive")
    naive = _naive(prepared, flavour)
    plan = without_connector(prepared, naive)
    measured = measure_plans(prepared, f"{flavour.kind} naive", [naive, plan], flavour)
    names = ("naive", "connector excluded")
    steps = [Step(name, agreement, taken=True) for name, agreement in zip(names, measured, strict=True)]
    prepared.work.begin(f"{flavour.kind}: biases")
    corrected = _corrected(prepared, plan)
    (agreement,) = measure_plans(prepared, f"{flavour.kind} biases", [corrected], flavour)
    steps.append(Step("biases", agreement, taken=agreement.lowest_cosine > steps[-1].agreement.lowest_cosine))
    plan = corrected if steps[-1].taken else plan
    prepared.work.begin(f"{flavour.kind}: layers excluded")
    before, after = (measured_errors(prepared, one, flavour, name) for name, one in (("naive", naive), ("final", plan)))
    settled = exclude_worst(prepared, plan, after, flavour, steps)
    steps.append(Step("layers excluded", settled.agreement, taken=True))
    prepared.work.begin(f"{flavour.kind}: simulation")
    simulations = simulate_plan(prepared, settled.plan, flavour)
    return Outcome(settled.plan, naive, tuple(steps), before, after, simulations)


def settle_nvfp4(prepared: Prepared, flavour: Flavour) -> Outcome:
    """Quantize every linear of the tower, and simulate what comes of it.

    No CPU engine has these products, so that nothing else can be measured. With 4 bits too much is lost for leaving
    out a few linears to mend it. The compressor stays in FP16: TensorRT rounds values of at most three axes to
    blocks, and its windows have four.
    """
    prepared.work.begin(f"{flavour.kind}: naive")
    naive = _naive(prepared, flavour)
    kept = [
        linear.name
        for site in prepared.sites
        for linear in site.linears
        if prepared.weights(linear.weight).shape[0] % BLOCK or linear.name.startswith(f"{COMPRESSOR}.")
    ]
    plan = without_connector(prepared, naive.keeping(*kept))
    errors = measured_errors(prepared, plan, flavour, "naive")
    prepared.work.begin(f"{flavour.kind}: simulation")
    simulations = simulate_plan(prepared, plan, flavour)
    worst = min((simulation.agreement for simulation in simulations), key=lambda one: one.lowest_cosine)
    return Outcome(plan, naive, (Step("simulated", worst, taken=True),), errors, errors, simulations)


def _naive(prepared: Prepared, flavour: Flavour) -> QuantizationPlan:
    """Quantize all that the FP16 graph computes in FP16; what it keeps in FP32, for its range, stays as it is."""
    spans = {site.name: full_range(prepared.seen.sites[site.name]) for site in prepared.sites}
    return QuantizationPlan(
        smoothing={site.name: Smoothing(0.0, None) for site in prepared.sites},
        ranges={name: Range(span.low * ROOM, span.high * ROOM, span.method) for name, span in spans.items()},
        kept=_full_precision(prepared, flavour),
    )


def _corrected(prepared: Prepared, plan: QuantizationPlan) -> QuantizationPlan:
    """Let the biases give back what rounding takes on average, in rows of every mode that the linear is used in."""
    shifts: dict[str, NDArray[np.float32]] = {}
    for site in prepared.sites:
        read = prepared.weights.read_site(site).items()
        weights = {name: weight for name, weight in read if name not in plan.kept}
        if weights:
            rows = prepared.seen.sites[site.name].sample
            levels = round_to_fp8(rows, fp8_scale(plan.ranges[site.name].largest))
            shifts |= mean_losses(rows, levels, weights, rounded_to_fp8(weights))
    return replace(plan, shifts=shifts)


def _full_precision(prepared: Prepared, flavour: Flavour) -> tuple[str, ...]:
    """Name the linears whose weight is in FP32 in the FP16 graphs."""
    found: dict[str, None] = {}
    for pair in graph_paths(prepared.bundle, flavour.base).values():
        for file in pair:
            graph = ir.load(file).graph
            linears = [linear for site in find_sites(graph) for linear in site.linears]
            found |= {
                linear.name: None for linear in linears if graph.initializers[linear.weight].dtype == ir.DataType.FLOAT
            }
    return tuple(found)
