"""Compares uhd-edge with llama.cpp's mtmd, transformers and OpenVINO, on the same weights and the same picture.

    python benchmarks/side_by_side.py FOLDER [--checkpoint MINICPM_V_4_6] [--mtmd FOLDER]
        [--picture "one view"|"ten views"] [--runs 3] [--threads N] [--only NAME ...]

The competitors take turns. The time is that of the whole way from RGB pixels to the embeddings that
the language model reads, with each competitor's own preprocessing. Each has a process of its own,
which keeps its weights open, so its peak memory can be measured. All together need 25 GB of memory;
`--only` selects some of them. One that is not installed is left out, and a line says how to install
it. "Post-ViT" is our own graph with the compressor after the last layer.

FOLDER keeps the files that are made from the weights: about 10 GB, and a quarter of an hour the
first time. Without `--checkpoint`, the weights are random.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from side_by_side_runners import COMPETITORS, Setting
from side_by_side_weights import SIDES, prepare

from uhd_edge.engines.threads import usable_cores

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from numpy.typing import NDArray

PAUSE = 0.3  # seconds between two competitors: threads of the first may still spin
# The pairs whose ratio is printed: how many times as fast the first is as the second.
RATIOS = (
    ("ours int8, openvino", "llama.cpp mtmd f16"),
    ("ours int8, openvino", "llama.cpp mtmd q8_0"),
    ("ours int8, openvino", "transformers bf16"),
    ("ours int8, openvino", "OpenVINO int8"),
    ("ours int8", "llama.cpp mtmd f16"),
    ("ours int8", "transformers bf16"),
    ("ours bf16, openvino", "transformers bf16"),
    ("ours fp32", "transformers fp32"),
    ("ours fp32", "OpenVINO fp32"),
    ("ours fp32", "llama.cpp mtmd f16"),
    ("ours fp32", "post-ViT fp32"),
    ("ours int8", "post-ViT int8"),
    ("ours int8, openvino", "post-ViT int8, openvino"),
)


@dataclass
class Lane:
    """The process of one competitor, with its times and its embeddings."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection
    seconds: list[float] = field(default_factory=list)
    embeddings: NDArray[np.float32] | None = None
    gigabytes: float = 0.0


def serve(name: str, setting: Setting, pipe: Connection) -> None:
    """Open a competitor, then encode each picture whose path comes through `pipe`. An empty path ends it."""
    try:
        encode = COMPETITORS[name].open(setting)
    except Exception as error:  # any error of an import or of opening ends this competitor only
        pipe.send(f"{type(error).__name__}: {' '.join(str(error).split())[:160]}")
        return
    pipe.send("")
    while path := pipe.recv():
        pixels = np.asarray(Image.open(path).convert("RGB"))
        started = time.perf_counter()
        embeddings = encode(pixels)
        pipe.send((time.perf_counter() - started, embeddings))
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def open_lanes(names: list[str], setting: Setting) -> dict[str, Lane]:
    """Start the competitors one after the other, and print which ones cannot be opened."""
    context = multiprocessing.get_context("spawn")
    lanes: dict[str, Lane] = {}
    for name in names:
        pipe, end = context.Pipe()
        process = context.Process(target=serve, args=(name, setting, end), daemon=True)
        process.start()
        end.close()
        if problem := pipe.recv():
            install = COMPETITORS[name].install
            print(f"without {name}: {problem}{f'; {install}' if install else ''}", flush=True)
            continue
        lanes[name] = Lane(process, pipe)
    return lanes


def run(lanes: dict[str, Lane], warm_up: Path, picture: Path, runs: int) -> None:
    """Let each competitor encode `warm_up` once, then `picture` `runs` times, in turns."""
    for turn in range(runs + 1):
        for lane in lanes.values():
            lane.pipe.send(str(picture if turn else warm_up))
            seconds, lane.embeddings = lane.pipe.recv()
            if turn:
                lane.seconds.append(seconds)
            time.sleep(PAUSE)
    for lane in lanes.values():
        lane.pipe.send("")
        lane.gigabytes = lane.pipe.recv()
        lane.process.join()


def cosine(lane: Lane, reference: Lane | None) -> str:
    """The cosine between the embeddings and those of the reference, if there are equally many."""
    if reference is None or lane.embeddings is None or reference.embeddings is None:
        return "-"
    ours, theirs = lane.embeddings.ravel().astype(np.float64), reference.embeddings.ravel().astype(np.float64)
    if ours.shape != theirs.shape:
        return "other views"
    return f"{ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs):.6f}"


def report(lanes: dict[str, Lane]) -> None:
    """Print the table, then the ratios with their range over the turns."""
    reference = lanes.get("transformers fp32") or lanes.get("ours fp32")
    print(f"\n{'':24} {'seconds':>9} {'best':>8} {'tokens':>7} {'peak GB':>8}  cosine to FP32")
    for name, lane in lanes.items():
        tokens = 0 if lane.embeddings is None else len(lane.embeddings)
        print(
            f"{name:24} {statistics.median(lane.seconds):9.3f} {min(lane.seconds):8.3f} {tokens:7} "
            f"{lane.gigabytes:8.2f}  {cosine(lane, reference)}"
        )
    print("\nhow many times as fast, turn by turn: median (lowest to highest)")
    for first, second in RATIOS:
        if first in lanes and second in lanes:
            pairs = zip(lanes[first].seconds, lanes[second].seconds, strict=True)
            ratios = [slow / fast for fast, slow in pairs]
            print(
                f"  {first} beside {second}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            )


def main() -> None:
    """Make the weights, open all competitors, and let them take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="a folder with MiniCPM-V 4.6 (default: random weights)")
    parser.add_argument("--mtmd", type=Path, help="a folder with llama-cpp-python built with mtmd")
    parser.add_argument("--picture", choices=SIDES, default="one view")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--only", nargs="+", choices=COMPETITORS, default=list(COMPETITORS), metavar="NAME")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads must not use the cores that others need
    weights = prepare(options.folder, options.checkpoint)
    setting = Setting(weights, options.threads, options.mtmd)
    lanes = open_lanes(options.only, setting)
    print(f"{options.picture}, {options.threads} threads, {options.runs} turns", flush=True)
    run(lanes, weights.picture("one view"), weights.picture(options.picture), options.runs)
    report(lanes)


if __name__ == "__main__":
    main()
