"""Measuring what an answer's first token costs: a few runs of the real engines and the real language model."""

from __future__ import annotations

import itertools
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from uhd_edge.runtime.costs import PromptCosts, SlicingCosts, VisionCosts
from uhd_edge.runtime.encoding import number_of_runs, views_at_once
from uhd_edge.runtime.patches import block_side
from uhd_edge.runtime.prompt import ImageSegment
from uhd_edge.runtime.sampling import Sampling
from uhd_edge.runtime.slicing import View, plan_views, slice_image
from uhd_edge.runtime.towers import encode_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from uhd_edge.runtime.bundle import Mode, Preprocessing
    from uhd_edge.runtime.llm import LanguageModel
    from uhd_edge.runtime.towers import Towers

# A measurement is repeated this often, or until it has taken this long.
REPEATS = 5
ENOUGH_MILLISECONDS = 1500.0


def measure_vision(towers: Towers) -> VisionCosts:
    """Encode drawn views of half and of the whole usual size, alone and as many at a time as there can be."""
    block = block_side(towers.manifest.vision, mode=towers.mode)
    preprocessing = towers.manifest.preprocessing
    side = block * max(1, preprocessing.scale_resolution // (block * preprocessing.patch_size))
    half = block * max(1, side // block // 2)
    together = max(2, min(preprocessing.max_slices, views_at_once(side * side)))
    features, times = [], []
    for rows, views in ((half, 1), (side, 1), (side, together)):
        batch = [_drawn_view(rows, side, preprocessing.patch_size)] * views
        count = rows * side
        features.append((number_of_runs([count] * views), views * count, views * count**2))
        times.append(_milliseconds(partial(encode_batch, towers, batch, ["a drawn view"] * views, {})))
    return VisionCosts(*fit_costs(features, times))


def measure_slicing(preprocessing: Preprocessing, mode: Mode) -> SlicingCosts:
    """Cut a drawn image into its thumbnail alone, and into as many slices as it gives."""
    side = 3 * preprocessing.scale_resolution
    image = Image.fromarray(_noise(side, side))
    features, times = [], []
    for most in (1, preprocessing.max_slices):
        views = plan_views(side, side, preprocessing, mode=mode, max_slices=most).views
        resized = 2 if len(views) > 1 else 1
        pixels = sum(rows * columns for rows, columns in views) * preprocessing.patch_size**2
        features.append((resized * side * side / 1e6, pixels / 1e6))
        times.append(_milliseconds(partial(slice_image, image, preprocessing, mode=mode, max_slices=most)))
    return SlicingCosts(*fit_costs(features, times))


def measure_prompt(model: LanguageModel) -> PromptCosts:
    """Prefill prompts of several lengths and choose one token after each; the model's memory is empty afterwards."""
    most = max(1, min(1024, model.context - 2))
    lengths = sorted({max(1, most // 32), max(1, most // 4), most})
    random = np.random.default_rng(0)
    features, times = [], []
    for length in lengths:
        rows = (0.02 * random.standard_normal((length, model.width))).astype(np.float32)
        times.append(_milliseconds(partial(_first_token, model, rows)))
        features.append((1, length, length**2))
    model.clear()
    return PromptCosts(*fit_costs(features, times))


def _first_token(model: LanguageModel, rows: NDArray[np.float32]) -> None:
    model.clear()
    model.prefill([ImageSegment(rows)])
    tokens = model.generate(Sampling(), max_tokens=1)
    next(tokens)
    tokens.close()


def _drawn_view(rows: int, columns: int, patch_size: int) -> View:
    return View(_noise(rows * patch_size, columns * patch_size), rows, columns)


def _noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _milliseconds(run: Callable[[], object]) -> float:
    """Median of several runs, after one that warms up and that counts if it took very long."""
    times = [_timed(run)]
    if times[0] < ENOUGH_MILLISECONDS:
        times.clear()
    while len(times) < REPEATS and sum(times) < ENOUGH_MILLISECONDS:
        times.append(_timed(run))
    return statistics.median(times)


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def fit_costs(features: Sequence[tuple[float, ...]], times: Sequence[float]) -> list[float]:
    """Costs, none below zero, that give `times` [n] for `features` [n, k] with the least relative error.

    There are two or three costs, so every choice of those that are not zero is tried.
    """
    wanted = np.array(times)
    scaled = np.array(features) / wanted[:, None]
    count = scaled.shape[1]
    best, least = np.zeros(count), float(len(times))
    for size in range(1, count + 1):
        for chosen in itertools.combinations(range(count), size):
            costs = np.zeros(count)
            costs[list(chosen)] = np.linalg.lstsq(scaled[:, chosen], np.ones(len(wanted)), rcond=None)[0]
            error = float(((scaled @ costs - 1) ** 2).sum())
            if (costs >= 0).all() and error < least:
                best, least = costs, error
    return [float(cost) for cost in best]
