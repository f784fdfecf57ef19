"""Compares uhd-edge with llama.cpp's mtmd, transformers and OpenVINO, on the same weights and the same picture.

    python benchmarks/side_by_side/encoding.py FOLDER [--checkpoint MINICPM_V_4_6] [--mtmd FOLDER]
        [--picture "one view"|"ten views"] [--runs 3] [--threads N] [--only NAME ...]

The competitors take turns. The time is that of the whole way from RGB pixels to the embeddings that
the language model reads, with each competitor's own preprocessing. Each has a process of its own,
which keeps its weights open, so its peak memory can be measured. The peaks add up to 27 GB, but
weights that are mapped from one file count once: all ran together on a machine of 23 GB. `--only`
selects some of them. One that is not installed is left out, and a line says how to install it.
"Post-ViT" is our own graph with the compressor after the last layer.

FOLDER keeps the files that are made from the weights: about 10 GB, and a quarter of an hour the
first time. Without `--checkpoint`, the weights are random.
"""

from __future__ import annotations

import argparse
import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from lanes import open_lanes, take_turns
from runners import COMPETITORS, Setting, competitor
from weights import SIDES, prepare

from uhd_edge.engines.threads import usable_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Measured:
    """What a competitor took in each turn, its last embeddings, and the peak of its memory."""

    seconds: list[float]
    embeddings: NDArray[np.float32]
    gigabytes: float


def cosine(ours: NDArray[np.float32], reference: Measured | None) -> str:
    """The cosine between the embeddings and those of the reference, if there are equally many."""
    if reference is None:
        return "-"
    if ours.shape != reference.embeddings.shape:
        return "other views"
    one, other = ours.ravel().astype(np.float64), reference.embeddings.ravel().astype(np.float64)
    return f"{one @ other / np.linalg.norm(one) / np.linalg.norm(other):.6f}"


def report(measured: dict[str, Measured]) -> None:
    """Print the table, then the ratios with their range over the turns."""
    reference = measured.get("transformers fp32") or measured.get("ours fp32")
    print(f"\n{'':24} {'seconds':>9} {'best':>8} {'tokens':>7} {'peak GB':>8}  cosine to FP32")
    for name, one in measured.items():
        print(
            f"{name:24} {statistics.median(one.seconds):9.3f} {min(one.seconds):8.3f} {len(one.embeddings):7} "
            f"{one.gigabytes:8.2f}  {cosine(one.embeddings, reference)}"
        )
    print("\nhow many times as fast, turn by turn: median (lowest to highest)")
    for first, second in RATIOS:
        if first in measured and second in measured:
            pairs = zip(measured[first].seconds, measured[second].seconds, strict=True)
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
    with open_lanes(options.only, competitor, setting) as lanes:
        print(f"{options.picture}, {options.threads} threads, {options.runs} turns", flush=True)
        taken = take_turns(lanes, weights.picture("one view"), weights.picture(options.picture), options.runs)
    report(
        {
            name: Measured([seconds for seconds, _ in turns], turns[-1][1], lanes[name].gigabytes)
            for name, turns in taken.items()
        }
    )


if __name__ == "__main__":
    main()
