"""Compares the preprocessing (slicing, resizing, patches) with that of transformers' Pillow processor.

    python benchmarks/preprocessing.py

Runs both in turns on RGB pictures of several sizes, in memory, and prints the median milliseconds
of each and their ratio. The exit code is 1 if a single value differs, or if ours is not at least
three times as fast for a picture of 1344x1344.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from PIL import Image
from transformers import MiniCPMV4_6ImageProcessorPil

from uhd_edge.runtime.bundles.model_sizes import MINICPM_V_4_6
from uhd_edge.runtime.vision.encoding import views_at_once
from uhd_edge.runtime.vision.patches import make_patches
from uhd_edge.runtime.vision.slicing import plan_slices, slice_image

ROUNDS = 15
SIZES = ((448, 448), (640, 480), (1344, 1344), (1920, 1080), (4000, 3000))
JUDGED = (1344, 1344)
LEAST_RATIO = 3.0

PREPROCESSING, VISION = MINICPM_V_4_6.preprocessing, MINICPM_V_4_6.vision


def ours(image: Image.Image) -> Iterator[np.ndarray[Any, Any]]:
    """Our patches [B, N, 3*p*p] in block order, batch by batch. Each batch reuses the memory of the one before."""
    views = slice_image(image, plan_slices(*image.size, PREPROCESSING, mode="16x")).views
    for _, same_size in groupby(views, key=lambda view: (view.rows, view.columns)):
        waiting = list(same_size)
        rows, columns = waiting[0].rows, waiting[0].columns
        size = views_at_once(rows * columns)
        for start in range(0, len(waiting), size):
            batch = waiting[start : start + size]
            patches = np.empty((len(batch), rows * columns, 3 * PREPROCESSING.patch_size**2), np.float32)
            for view, place in zip(batch, patches, strict=True):
                make_patches(view, PREPROCESSING, VISION, mode="16x", out=place)
            yield patches


def theirs(processor: MiniCPMV4_6ImageProcessorPil, image: Image.Image) -> Any:
    """The patches of transformers: one strip [3, p, N * p] of all views, patch beside patch."""
    return processor(image, downsample_mode="16x", max_slice_nums=PREPROCESSING.max_slices)["pixel_values"][0]


def same_values(image: Image.Image, strip: Any) -> bool:
    """Whether both have the same values, in whatever order. The tests compare the order too."""
    mine = np.concatenate([batch.ravel() for batch in ours(image)])
    return np.array_equal(np.sort(mine), np.sort(np.asarray(strip), axis=None))


def milliseconds(step: Callable[[], object]) -> float:
    """The milliseconds that `step` takes."""
    start = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    """Measure every size, and print the results."""
    processor = MiniCPMV4_6ImageProcessorPil()
    ok = True
    for width, height in SIZES:
        noise = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
        image = Image.fromarray(noise)
        ok = same_values(image, theirs(processor, image)) and ok
        steps = (lambda image=image: deque(ours(image), maxlen=0), partial(theirs, processor, image))
        rounds = [[milliseconds(step) for step in steps] for _ in range(ROUNDS)]
        mine, other = (statistics.median(column) for column in zip(*rounds, strict=True))
        ok = ok and ((width, height) != JUDGED or other / mine >= LEAST_RATIO)
        print(f"{width} x {height}: {mine:.1f} ms, transformers {other:.1f} ms, {other / mine:.1f} times as fast")
    sys.exit(not ok)


if __name__ == "__main__":
    main()
