"""Times every way of encoding that LLaVA-UHD v4 compares, side by side, on one view in the sizes of MiniCPM-V 4.6.

    python benchmarks/variants [--runs 2] [--only NAME,NAME] [--patches 1024] [--threads N] [--folder FOLDER]

A name is one of `uhd flops --variant`, and with moonvit- in front of it the same on a MoonViT; moonvit
alone is LLaVA-UHD v4's own compressor on it. The view is a square of --patches.

The weights are random and the same in all variants; those of the tower lie on the disk once. The
graphs are FP32, on ONNX Runtime. They are opened one after the other, run once on a few patches and
then `runs` times, and the quickest run counts. Processor time stands beside the seconds: with
--threads 1 it says the same on a busy machine, where seconds do not. Needs 5 GB of disk, 4 GB of
memory and no network. With --folder the graphs are kept there, and taken from there by the next run.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from uhd_edge.bench.synthetic.bundle import SyntheticModel, tower_config
from uhd_edge.bench.synthetic.random_llm import RandomLanguageModel
from uhd_edge.bench.synthetic.random_weights import RandomConfig, RandomWeights
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.engines.threads import usable_cores
from uhd_edge.export.graphs.connector_graphs import connector_graph
from uhd_edge.export.graphs.onnx_tower import encoder_graph
from uhd_edge.export.graphs.weight_file import WeightFile
from uhd_edge.runtime.bundles.backbones import BACKBONE_NAMES
from uhd_edge.runtime.bundles.model_sizes import MINICPM_V_4_6, ModelSizes
from uhd_edge.runtime.bundles.variants import VARIANTS, find_variant, stand_on, vary
from uhd_edge.runtime.vision.flops import Flops, view_flops
from uhd_edge.runtime.vision.patches import position_ids

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADS = 16
BASE = "window-reuse"
MOONVIT = "moonvit"
FEW = 16  # patches of the first run, which is not counted


@dataclass(frozen=True)
class Timed:
    """What encoder and connector of one variant took together: seconds, processor time in seconds, operations."""

    name: str
    seconds: float
    processor: float
    flops: Flops


def sizes_of(name: str) -> ModelSizes:
    """The real model's sizes as a variant."""
    variant = name.removeprefix(MOONVIT).removeprefix("-") or BASE
    sizes = stand_on(MINICPM_V_4_6, "moonvit") if name.startswith(MOONVIT) else MINICPM_V_4_6
    return vary(sizes, find_variant(variant))


def write(names: list[str], folder: Path, backbone: str) -> None:
    """Write the graphs of all variants on one tower, with one weight file for the towers and one for the connectors."""
    for part, build in (("encoder", encoder_graph), ("connector", connector_graph)):
        with WeightFile(folder / f"{part}-{backbone}.weights") as weights:
            for name in names:
                tower = tower_config(SyntheticModel(sizes_of(name), HEADS, RandomLanguageModel(1024, 1024)))
                random = RandomWeights(RandomConfig(tower))
                options = {"modes": ["16x"]} if part == "encoder" else {}
                model = build(tower, lambda tensor, random=random: random.tensor(f"model.{tensor}"), **options)
                weights.move_weights(model)
                ir.save(model, folder / f"{part}-{name}.onnx")


def view_of(name: str, patches: int) -> dict[str, NDArray[np.generic]]:
    """What the encoder is given: one square view of random pixels."""
    side = math.isqrt(patches)
    values = np.random.default_rng(0).uniform(-1, 1, (1, side * side, MINICPM_V_4_6.patch_values))
    positions = position_ids(side, side, sizes_of(name).vision, mode="16x")
    return {"patches": values.astype(np.float32), "position_ids": positions[None]}


def measure(name: str, folder: Path, patches: int, runs: int, threads: int | None) -> Timed:
    """Open the graphs of a variant, run them on one view, and close them."""
    given, first = view_of(name, patches), view_of(name, FEW)
    seconds = processor = 0.0
    for part, output in (("encoder", "features"), ("connector", "embeddings")):
        with OnnxRuntimeEngine(folder / f"{part}-{name}.onnx", threads=threads) as engine:
            first = engine.run(first)
            took = []
            for _ in range(runs):
                started = time.perf_counter(), time.process_time()
                outputs = engine.run(given)
                took.append((time.perf_counter() - started[0], time.process_time() - started[1]))
        given, first = {output: outputs[output]}, {output: first[output]}
        seconds += min(wall for wall, _ in took)
        processor += min(spent for _, spent in took)
    return Timed(name, seconds, processor, view_flops(sizes_of(name), patches, compressed=True))


def table(timed: list[Timed]) -> list[str]:
    """The rows of a table in Markdown; ratios are to the compressor of LLaVA-UHD v4."""
    base = next((one for one in timed if one.name == BASE), timed[0])
    rows = ["| variant | GFLOP | beside | seconds | beside | processor | beside |", "|---|" + "---:|" * 6]
    for one in timed:
        numbers = [
            (one.flops.total / 1e9, base.flops.total / 1e9),
            (one.seconds, base.seconds),
            (one.processor, base.processor),
        ]
        cells = [f"{ours:.2f} | {ours / theirs:.2f}" for ours, theirs in numbers]
        rows.append(f"| {one.name} | {' | '.join(cells)} |")
    return rows


def main() -> None:
    """Write the graphs where they are missing, and time them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2)
    # Images encoded whole have the graphs of those that are cut; only the number of patches differs.
    distinct = [name for name, variant in VARIANTS.items() if variant.encoding == "slices"]
    parser.add_argument("--only", default=",".join([*distinct, MOONVIT, f"{MOONVIT}-post-vit"]))
    parser.add_argument("--patches", type=int, default=1024)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    names = options.only.split(",")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if any(not (folder / f"connector-{name}.onnx").is_file() for name in names):
            print(f"writing the graphs of {len(names)} variants to {folder}", flush=True)
            for other in folder.glob("*.onnx"):  # of weights that are written anew
                other.unlink()
            for backbone in BACKBONE_NAMES:
                write([name for name in names if sizes_of(name).vision.backbone == backbone], folder, backbone)
        timed = []
        for name in names:
            timed.append(measure(name, folder, options.patches, options.runs, options.threads))
            print(f"{name}: {timed[-1].seconds:.2f} s, {timed[-1].processor:.2f} s of processor time", flush=True)
    threads = options.threads or usable_cores()
    print(f"\none view of {options.patches} patches, FP32 on ONNX Runtime, threads: {threads}\n")
    print("\n".join(table(timed)))


if __name__ == "__main__":
    main()
