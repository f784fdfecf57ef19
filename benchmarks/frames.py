"""Measures the encoding time per frame of a camera, with and without the cache of views.

    python benchmarks/frames.py [--frames 100] [--threads N]

The camera watches a workbench on which one object moves. Its frames have 800x600 pixels, with or
without noise. Prints the table in docs/speed.md, for the built-in model.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime import VisionEncoder
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.scenes import SLICED, draw_scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from uhd_edge.runtime.modes import Mode

TOLERANCE = 3.0  # grey levels; above the noise, whose standard deviation is 2


def draw_frames(count: int, noise: float) -> list[NDArray[np.uint8]]:
    """Frames in which an object moves from left to right. `noise` is its standard deviation in grey levels."""
    first = dataclasses.replace(draw_scene("a workbench", SLICED, (800, 600)), noise=0.0, jpeg_quality=None)
    mover, *others = first.objects
    dice = np.random.default_rng(0)
    frames = []
    for number in range(count):
        moved = dataclasses.replace(mover, x=80.0 + 5 * number, y=90.0 + 2 * number)
        picture = np.asarray(draw_picture(dataclasses.replace(first, objects=(*others, moved)))).astype(np.float32)
        noisy = picture + dice.normal(0, noise, picture.shape) if noise else picture
        frames.append(np.clip(noisy.round(), 0, 255).astype(np.uint8))
    return frames


def measure(frames: list[NDArray[np.uint8]], mode: Mode, threads: int, *, cache: bool, tolerance: float) -> str:
    """Encode every frame. Returns cells of the table: median milliseconds, mean number of views encoded, overhead."""
    options = {} if cache else {"cache_bytes": 0}
    with VisionEncoder(mode=mode, threads=threads, **options) as encoder:
        encoder.encode(np.zeros_like(frames[0]))  # opens the engines
        encoder.encode(frames[0], tolerance=tolerance)
        seconds, seen = [], []
        for frame in frames[1:]:
            start = time.perf_counter()
            seen.append(encoder.encode(frame, tolerance=tolerance))
            seconds.append(time.perf_counter() - start)
    encoded = statistics.mean(one.encoded_views for one in seen)
    overhead = statistics.median(one.timings_ms["cache"] for one in seen)
    return f"{1e3 * statistics.median(seconds):.1f} | {encoded:.1f} of {len(seen[0].views)} | {overhead:.1f}"


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description="Time per frame with and without the cache.")
    options.add_argument("--frames", type=int, default=100)
    options.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    chosen = options.parse_args()
    lines = ["| camera | cache | mode | ms a frame | views encoded | ms for looking |", "|---|---|---|---:|---:|---:|"]
    cases = [("still", 0.0, "off", False, 0.0), ("still", 0.0, "exact", True, 0.0)]
    cases += [("noisy", 2.0, "exact", True, 0.0), ("noisy", 2.0, f"tolerance {TOLERANCE:g}", True, TOLERANCE)]
    modes: tuple[Mode, ...] = ("16x", "4x")
    for mode in modes:
        for camera, noise, named, cache, tolerance in cases:
            cells = measure(draw_frames(chosen.frames, noise), mode, chosen.threads, cache=cache, tolerance=tolerance)
            lines.append(f"| {camera} | {named} | {mode} | {cells} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
