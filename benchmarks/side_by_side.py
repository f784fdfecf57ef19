"""The same weights and the same picture, in turns: ours, llama.cpp's mtmd, transformers and OpenVINO.

    python benchmarks/side_by_side.py FOLDER [--checkpoint MINICPM_V_4_6] [--mtmd FOLDER]
        [--picture "one view"|"ten views"] [--runs 3] [--threads N] [--only NAME ...]

FOLDER keeps what is made of the weights: about 10 GB, and a quarter of an hour the first time.
Without `--checkpoint` they are random. Timed is the whole way from RGB pixels to the embeddings
that the language model reads, by each one's own preprocessing. Every competitor has a process
of its own, which holds its weights open throughout: peak memory is its own, and 25 GB are
needed for all of them at once (`--only` takes fewer). What is not installed is left out, with
the line that installs it. "Post-ViT" is our own graph with the compressor behind the last layer.
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

PAUSE = 0.3  # seconds; threads of the one before may still be looking for work
# What a ratio is formed against what: the first is to be faster.
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
    """One competitor's process, what it took each time, and what it returned."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection
    seconds: list[float] = field(default_factory=list)
    embeddings: NDArray[np.float32] | None = None
    gigabytes: float = 0.0


def serve(name: str, setting: Setting, pipe: Connection) -> None:
    """Open a competitor, then encode each picture that comes through `pipe`; an empty path ends it."""
    try:
        encode = COMPETITORS[name].open(setting)
    except Exception as error:  # whatever an import or an opening raises is this competitor's end alone
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
    """Start the competitors one after the other; says which cannot be had."""
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
    """Let everyone encode `warm_up` once, then `picture` `runs` times in turns."""
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
    """How near the embeddings are to those of the reference, where there are as many."""
    if reference is None or lane.embeddings is None or reference.embeddings is None:
        return "-"
    ours, theirs = lane.embeddings.ravel().astype(np.float64), reference.embeddings.ravel().astype(np.float64)
    if ours.shape != theirs.shape:
        return "other views"
    return f"{ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs):.6f}"


def report(lanes: dict[str, Lane]) -> None:
    """Print the table, then the ratios with their spread over the turns."""
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
    """Make the weights, open everyone, take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="a folder of MiniCPM-V 4.6; random weights without it")
    parser.add_argument("--mtmd", type=Path, help="a folder with llama-cpp-python built with mtmd")
    parser.add_argument("--picture", choices=SIDES, default="one view")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--only", nargs="+", choices=COMPETITORS, default=list(COMPETITORS), metavar="NAME")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # those who wait must not take the cores from those who run
    weights = prepare(options.folder, options.checkpoint)
    setting = Setting(weights, options.threads, options.mtmd)
    lanes = open_lanes(options.only, setting)
    print(f"{options.picture}, {options.threads} threads, {options.runs} turns", flush=True)
    run(lanes, weights.picture("one view"), weights.picture(options.picture), options.runs)
    report(lanes)


if __name__ == "__main__":
    main()
