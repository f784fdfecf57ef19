"""Builds engines of MiniCPM-V 4.6's size for an RTX card, on a machine without one: seconds, memory, file sizes.

    python benchmarks/real_size_build.py [--target rtx-40] [--precisions fp16,int8,fp8,nvfp4] [--modes 16x,4x]
        [--max-slices 9] [--folder FOLDER]

The weights are random, and the shapes are those that slicing can produce. The INT8, FP8 and NVFP4 graphs have
made-up ranges; that makes no difference to the build. Beside the measured memory stands what
`uhd build` predicts. Needs tensorrt-rtx and
about 10 GB of disk, but no network. Temporary files are removed. Each step runs in a process of
its own, so that its peak memory can be measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from real_size_export import make_checkpoint, measured
from real_size_int8 import export

if TYPE_CHECKING:
    from uhd_edge.calibration.ranges.plan import CalibratedPrecision
    from uhd_edge.engines.building.build import EngineOrder
    from uhd_edge.engines.building.targets import BuiltPrecision
    from uhd_edge.runtime.modes import Mode

MADE_UP = (-8.0, 8.0)


def write_quantized(target: Path, precision: CalibratedPrecision) -> None:
    """Write graphs for TensorRT beside the others. Like a calibration, this does not quantize the connector."""
    from uhd_edge.calibration.graphs.graph_files import all_sites, int8_names, write_int8
    from uhd_edge.calibration.prepared import TOWER
    from uhd_edge.calibration.ranges.plan import QuantizationPlan, flavours_of
    from uhd_edge.calibration.ranges.rounding import Range
    from uhd_edge.calibration.ranges.smoothing import Smoothing
    from uhd_edge.export.graphs.compressor_graphs import COMPRESSOR
    from uhd_edge.runtime.bundles.bundle import Bundle

    bundle = Bundle.open(target)
    found = all_sites(bundle)
    sites = [site.name for site in found]
    linears = [linear.name for site in found for linear in site.linears]
    plan = QuantizationPlan(
        dict.fromkeys(sites, Smoothing(0.0, None)),
        dict.fromkeys(sites, Range(*MADE_UP, "made up")),
        kept=tuple(
            name
            for name in linears
            if not name.startswith(TOWER) or (precision == "nvfp4" and name.startswith(COMPRESSOR))
        ),
    )
    flavour = flavours_of([precision])[-1]  # of INT8 the one for TensorRT
    write_int8(bundle, plan, flavour, target / "graphs", {name: name for name in int8_names(bundle, flavour)})


def build(bundle_of: tuple[Path, list[Mode]], card: str, precision: BuiltPrecision, max_slices: int, part: str) -> None:
    """Build the engine of the encoder or the connector, and print its size and the predicted memory."""
    target, modes = bundle_of
    from uhd_edge.engines.building.build import build_engines
    from uhd_edge.engines.building.targets import find_target
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.checking.building import engine_orders
    from uhd_edge.runtime.memory.building import build_need

    bundle = Bundle.open(target)
    orders = engine_orders(bundle, modes=modes, precision="fp16", max_slices=max_slices)
    (order,) = [order for order in orders if order.name.startswith(part)]
    if precision != "fp16":
        order = quantized(order, precision)
    print(f"  predicted memory {build_need(bundle, [order], find_target(card)).total / 1e9:.2f} GB")
    (record,) = build_engines(target, [order], target=find_target(card), progress=lambda _: None)
    graph = sum(digest.bytes for digest in record.graph_files.values())
    print(f"  {len(record.profiles)} profiles, graph {graph / 1e9:.3f} GB, engine {record.engine.bytes / 1e9:.3f} GB")
    print(f"  {time.process_time():.1f} s of processor time")


def quantized(order: EngineOrder, precision: BuiltPrecision) -> EngineOrder:
    """The same order, but with the graph that a calibration would have made."""
    from uhd_edge.runtime.checking.building import KINDS

    return replace(
        order,
        name=order.name.replace("fp16", precision),
        graph=order.graph.replace("fp16", KINDS[precision]),
        precision=precision,
    )


def main() -> None:
    """Make a checkpoint, export it, and build the engines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="rtx-40")
    parser.add_argument("--precisions", default="fp16,int8,fp8", help="fp16, int8, fp8, nvfp4, separated by commas")
    parser.add_argument("--modes", default="16x", help="16x, 4x, or both, separated by a comma")
    parser.add_argument("--max-slices", type=int, default=9)
    parser.add_argument("--folder", help="folder for the temporary files")
    options = parser.parse_args()
    precisions, modes = options.precisions.split(","), options.modes.split(",")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        checkpoint, target = Path(name) / "checkpoint", Path(name) / "bundle"
        measured("random checkpoint", make_checkpoint, checkpoint)
        measured("export", export, checkpoint, target, ("fp32", "fp16"), tuple(modes))
        for precision in precisions:
            if precision != "fp16":
                measured(f"{precision.upper()} graphs", write_quantized, target, precision)
        for precision in precisions:
            for part in ("encoder", "connector"):
                title = f"build {part} {precision} for {options.target}"
                measured(title, build, (target, modes), options.target, precision, options.max_slices, part)


if __name__ == "__main__":
    main()
