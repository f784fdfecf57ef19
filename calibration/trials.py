"""INT8 graphs that are written to be measured, and removed again."""

from __future__ import annotations

import shutil
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from uhd_edge.calibration.graphs.graph_files import int8_names, write_part
from uhd_edge.calibration.measure import Agreement, compare
from uhd_edge.calibration.simulation.simulate import Simulation, simulate_views
from uhd_edge.calibration.work import pass_cost

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.calibration.prepared import Prepared
    from uhd_edge.calibration.ranges.plan import Flavour, QuantizationPlan
    from uhd_edge.runtime.modes import Mode

    # The encoder of each mode, and the connectors of each plan.
    Trial = tuple[dict[Mode, Path], list[dict[Mode, Path]]]

WRITING_COST = 1.0  # in the units of `Work`

SIMULATED_VIEWS = 2  # in each mode, of those to measure on
SIMULATION_COST = 4.0  # in passes of the encoder


def measure_plans(
    prepared: Prepared, name: str, plans: Sequence[QuantizationPlan], flavour: Flavour
) -> list[Agreement]:
    """Measure plans that differ in nothing but their connectors, so that their encoder runs once.

    The agreements are kept under `name` for a run that goes on after this one.
    """
    if prepared.saved.has(name):
        prepared.work.expect(-WRITING_COST - prepared.measurement.cost)

    def measure() -> list[dict[str, Any]]:
        tested: list[dict[str, NDArray[np.float32]]] = [{} for _ in plans]
        with _written(prepared, plans, flavour) as (encoders, connectors):
            for view, embeddings in prepared.measurement.embed(encoders, connectors, flavour.products):
                for found, one in zip(tested, embeddings, strict=True):
                    found[view] = one
        return [asdict(compare(prepared.exact, found)) for found in tested]

    return [Agreement(**agreement) for agreement in prepared.saved.value(name, measure)]


def measure_until_below(
    prepared: Prepared, name: str, plan: QuantizationPlan, flavour: Flavour, first: Sequence[str]
) -> Agreement:
    """Measure a plan, beginning with the views named in `first`, until one misses the goal.

    What misses it is then the agreement of the views up to that one. It is kept under `name`.
    """

    def measure() -> dict[str, Any]:
        prepared.work.expect(WRITING_COST + prepared.measurement.cost)
        tested: dict[str, NDArray[np.float32]] = {}
        goal = prepared.goal(flavour)
        with (
            _written(prepared, [plan], flavour) as (encoders, connectors),
            closing(prepared.measurement.embed(encoders, connectors, flavour.products, first)) as embedded,
        ):
            for view, (one,) in embedded:
                tested[view] = one
                if not compare(prepared.exact, {view: one}).reaches(goal):
                    break
        left = [view for view in prepared.measurement.views if view.name not in tested]
        prepared.work.expect(-prepared.measurement.cost_of(left))
        return asdict(compare(prepared.exact, tested))

    return Agreement(**prepared.saved.value(name, measure))


def simulate_plan(prepared: Prepared, plan: QuantizationPlan, flavour: Flavour) -> tuple[Simulation, ...]:
    """Compute a plan's graphs on a few views in numpy, as TensorRT does, in every mode."""
    manifest, simulations = prepared.bundle.manifest, []
    with _written(prepared, [plan], flavour) as (encoders, (connectors,)):
        for mode, encoder in encoders.items():
            views = [view for view in prepared.measurement.views if view.mode == mode][:SIMULATED_VIEWS]
            found = simulate_views((encoder, connectors[mode]), views, prepared.exact, manifest, kind=flavour.kind)
            simulations.append(found)
            prepared.work.done(SIMULATION_COST * SIMULATED_VIEWS * pass_cost(manifest.vision, mode))
    return tuple(simulations)


@contextmanager
def _written(prepared: Prepared, plans: Sequence[QuantizationPlan], flavour: Flavour) -> Iterator[Trial]:
    """Write the encoder of the first plan and the connectors of all."""
    names = {name: name for name in int8_names(prepared.bundle, flavour)}
    trial = prepared.folder / "trial"
    shutil.rmtree(trial, ignore_errors=True)  # of a run that was killed
    try:
        folders = [trial / str(number) for number in range(len(plans))]
        for folder in folders:
            folder.mkdir(parents=True)
        encoders = write_part(prepared.bundle, plans[0], flavour, folders[0], names, part="encoder")
        prepared.work.done(WRITING_COST)
        connectors = [
            write_part(prepared.bundle, plan, flavour, folder, names, part="connector")
            for plan, folder in zip(plans, folders, strict=True)
        ]
        yield encoders, connectors
    finally:
        shutil.rmtree(trial, ignore_errors=True)
