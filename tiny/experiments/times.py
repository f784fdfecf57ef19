"""Time all rows side by side in one run: `python -m uhd_edge.tiny.experiments.times`.

Encoder and connector of every row encode one picture on ONNX Runtime, in FP32 and with one thread by
default. The rows take turns, round after round. Weights make no difference to it, so they are random.
What was measured goes into `times.json` here, with the count of operations and the name of the processor.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from uhd_edge.bench.synthetic.random_weights import RandomConfig, RandomWeights
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.engines.processor import processor_name
from uhd_edge.export.graphs.connector_graphs import connector_graph
from uhd_edge.export.graphs.onnx_tower import encoder_graph
from uhd_edge.runtime.vision.flops import view_flops
from uhd_edge.tiny.experiments.rows import ROWS, Row
from uhd_edge.tiny.experiments.world import PICTURES, SLICE_SIDE
from uhd_edge.tiny.world.views import VIEW_SIDE, compute_position_ids, plan_views

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIMES = Path(__file__).parent / "times.json"
ROUNDS = 40


@dataclass(frozen=True)
class Opened:
    """The graphs of a row, and what they are given for one picture: its views, all of the same size."""

    encoder: OnnxRuntimeEngine
    connector: OnnxRuntimeEngine
    given: dict[str, NDArray[Any]]

    def milliseconds(self) -> float:
        """Encode the picture once."""
        started = time.perf_counter()
        self.connector.run(self.encoder.run(self.given))
        return 1000 * (time.perf_counter() - started)


def given_to(row: Row) -> dict[str, NDArray[Any]]:
    """Random patches of one picture, and where they are: one view, or a thumbnail and its slices together."""
    side = SLICE_SIDE if row.slices else VIEW_SIDE
    views, _ = plan_views(PICTURES.sides[0], PICTURES.sides[0], compress=True, side=side)
    places = np.stack([compute_position_ids(view.rows, view.columns).numpy() for view in views])
    patches = np.random.default_rng(0).uniform(-1, 1, (*places.shape, row.tower.patch_values))
    return {"patches": patches.astype(np.float32), "position_ids": places}


def open_row(row: Row, folder: Path, threads: int, stack: ExitStack) -> Opened:
    """Write the graphs of a row, and open them until `stack` closes."""
    weights = RandomWeights(RandomConfig(row.tower))

    def read(name: str) -> NDArray[np.float32]:
        return weights.tensor(f"model.{name}")

    def opened(graph: ir.Model, part: str) -> OnnxRuntimeEngine:
        file = folder / f"{row.name}-{part}.onnx"
        ir.save(graph, file)
        return stack.enter_context(OnnxRuntimeEngine(file, threads=threads))

    encoder = opened(encoder_graph(row.tower, read, modes=["16x"]), "encoder")
    return Opened(encoder, opened(connector_graph(row.tower, read), "connector"), given_to(row))


def flops_of(row: Row) -> int:
    """Operations of encoding one picture, the usual count, with the connector."""
    views, patches = (int(side) for side in given_to(row)["position_ids"].shape)
    return views * view_flops(row.sizes, patches, compressed=True).total


def time_rows(rows: tuple[Row, ...], rounds: int, threads: int) -> dict[str, dict[str, float]]:
    """Median and quartiles of the milliseconds that every row takes, and its operations in millions."""
    took: dict[str, list[float]] = {row.name: [] for row in rows}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        opened = {row.name: open_row(row, Path(folder), threads, stack) for row in rows}
        for number in range(rounds + 1):
            for name, graphs in opened.items():
                spent = graphs.milliseconds()
                if number:  # the first round warms up
                    took[name].append(spent)
    found = {}
    for row in rows:
        low, middle, high = statistics.quantiles(took[row.name], n=4)
        milliseconds = {"ms": round(middle, 2), "from": round(low, 2), "to": round(high, 2)}
        found[row.name] = {**milliseconds, "mflop": round(flops_of(row) / 1e6, 1)}
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--to", type=Path, default=TIMES, help="file to write (default: the one here)")
    arguments = parser.parse_args()
    rows = time_rows(ROWS, arguments.rounds, arguments.threads)
    machine = {"processor": processor_name(), "threads": arguments.threads, "rounds": arguments.rounds}
    arguments.to.write_text(json.dumps({**machine, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
