"""Measuring what an answer's first token costs and how that varies, on a few synthetic images in several rounds.

Each stage is timed within the whole pipeline and not in a loop of its own: caches and
sleeping threads make a stage a third slower in the pipeline.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from uhd_edge.runtime.budget.costs import CostModel, PromptCosts, SlicingCosts, VisionCosts, Work
from uhd_edge.runtime.budget.fitting import fit_costs, noise_of_medians
from uhd_edge.runtime.budget.spread import Spread
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.timing import timed
from uhd_edge.runtime.vision.encoding import encode_views, number_of_runs
from uhd_edge.runtime.vision.patches import block_side
from uhd_edge.runtime.vision.slicing import View, plan_slices, slice_image
from uhd_edge.runtime.vision.view_cache import content_key, identify_engines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.vision.vision_engines import VisionEngines

ROUNDS = 5
# A slow machine runs fewer rounds, and skips images of many slices.
ENOUGH_SECONDS = 8.0

# Stored costs are compared with the machine as it is now, where that is quickly done.
CHECKS = 6
QUICK_MS = 100.0


@dataclass(frozen=True)
class Trial:
    """One image that went through the pipeline: its sizes, and the milliseconds of each stage."""

    source_pixels: int
    patches: tuple[int, ...]
    view_pixels: int
    tokens: int
    slicing: float
    encoding: float
    prompt: float

    @property
    def total(self) -> float:
        """Milliseconds of all stages."""
        return self.slicing + self.encoding + self.prompt

    def ratio(self, costs: CostModel) -> float:
        """Return how many times what `costs` say it took."""
        views = [(count, 1) for count in self.patches]
        return self.total / costs.milliseconds(Work([(self.source_pixels, 1)], [views], self.tokens))


def measure_costs(engines: VisionEngines, model: LanguageModel) -> tuple[CostModel, Spread]:
    """Measure a mode with its open engines and the language model, whose memory is cleared.

    Returns the usual costs, and how far each measured image lies from them. Those of the first
    round are among them: engines set themselves up for new shapes, as they do for a user's images.

    Raises `EngineError` or `ModelError` when one of them fails.
    """
    rounds = list(_rounds(engines, model))
    model.clear()
    costs = _fit(rounds[1:] or rounds, engines)
    return costs, Spread().followed_by([trial.ratio(costs) for trials in rounds for trial in trials])


def check_costs(engines: VisionEngines, model: LanguageModel, costs: CostModel) -> list[float]:
    """Measure how far a small image lies from `costs` now, several times; not at all if that takes long.

    Clears the language model's memory. Raises what `measure_costs` raises.
    """
    view = _half_a_view_size(engines)
    if costs.milliseconds(Work([(1, 1)], [[view]], 0)) > QUICK_MS:
        return []
    trials = [_half_a_view(engines, model, number) for number in range(CHECKS)]
    model.clear()
    return [trial.ratio(costs) for trial in trials[1:]]  # the first warms up


def _fit(rounds: Sequence[Sequence[Trial]], engines: VisionEngines) -> CostModel:
    """Fit the costs to the median times of each image, no finer than their noise allows."""
    trials = [_median(group) for group in zip(*rounds, strict=True)]
    vision = [
        (number_of_runs(trial.patches), sum(trial.patches), sum(count**2 for count in trial.patches))
        for trial in trials
    ]
    # Images that are sliced are resized twice.
    slicing = [
        ((1 + (len(trial.patches) > 1)) * trial.source_pixels / 1e6, trial.view_pixels / 1e6) for trial in trials
    ]
    prompt = [(1, trial.tokens, trial.tokens**2) for trial in trials]

    def fit(features: Sequence[tuple[float, ...]], stage: str) -> list[float]:
        noise = noise_of_medians([[getattr(trial, stage) for trial in trials] for trials in rounds])
        return fit_costs(features, [getattr(trial, stage) for trial in trials], noise=noise)

    return CostModel(
        VisionCosts(*fit(vision, "encoding")),
        SlicingCosts(*fit(slicing, "slicing")),
        PromptCosts(*fit(prompt, "prompt")),
        engines.manifest.preprocessing.patch_size,
    )


def _rounds(engines: VisionEngines, model: LanguageModel) -> Iterator[list[Trial]]:
    """Run rounds of the same trials, at least one, until there are enough or the time is up."""
    start = time.perf_counter()
    scale = engines.manifest.preprocessing.scale_resolution
    sizes = [(scale, scale), (2 * scale, scale), (3 * scale, 3 * scale)]
    first = [_half_a_view(engines, model, 0)]
    for size in sizes:
        # Each is about three times as much work as the one before it.
        if len(first) < 3 or 3 * _seconds(first[-1]) < ENOUGH_SECONDS / 2:
            first.append(_trial(engines, model, size, 0))
    yield first
    for number in range(1, ROUNDS):
        if time.perf_counter() - start + sum(map(_seconds, first)) > ENOUGH_SECONDS:
            return
        trials = [_trial(engines, model, size, number) for size in sizes[: len(first) - 1]]
        yield [_half_a_view(engines, model, number), *trials]


def _trial(engines: VisionEngines, model: LanguageModel, size: tuple[int, int], seed: int) -> Trial:
    """Time an image of `size` (width, height) in as many slices as it has."""
    timings: dict[str, float] = {}
    image = Image.fromarray(_noise(size[1], size[0], seed))
    with timed(timings, "slicing"):
        views = slice_image(image, plan_slices(*size, engines.manifest.preprocessing, mode=engines.mode)).views
        for view in views:
            content_key(view, identify_engines(engines))
    return _encode_and_prefill(engines, model, views, size[0] * size[1], timings)


def _half_a_view_size(engines: VisionEngines) -> tuple[int, int]:
    """(rows, columns) in patches."""
    preprocessing = engines.manifest.preprocessing
    block = block_side(engines.manifest.vision, mode=engines.mode)
    side = max(1, preprocessing.scale_resolution // (block * preprocessing.patch_size))
    return block * max(1, side // 2), block * side


def _half_a_view(engines: VisionEngines, model: LanguageModel, seed: int) -> Trial:
    """Time a view of half the usual patches, which separates the cost of a patch from that of its square."""
    preprocessing = engines.manifest.preprocessing
    rows, columns = _half_a_view_size(engines)
    patch = preprocessing.patch_size
    timings: dict[str, float] = {}
    image = Image.fromarray(_noise(rows * patch, columns * patch, seed))
    with timed(timings, "slicing"):
        pixels = np.asarray(image.resize(image.size, resample=preprocessing.resample, box=(0, 0, *image.size)))
        view = View(pixels, rows, columns)
        content_key(view, identify_engines(engines))
    return _encode_and_prefill(engines, model, (view,), pixels.size // 3, timings)


def _encode_and_prefill(
    engines: VisionEngines, model: LanguageModel, views: tuple[View, ...], source_pixels: int, timings: dict[str, float]
) -> Trial:
    stages: dict[str, float] = {}
    with timed(timings, "encoding"):
        rows = np.concatenate(encode_views(engines, views, stages))
    rows = rows[: max(1, model.context - 2)]
    with timed(timings, "prompt"):
        _first_token(model, rows)
    counts = tuple(view.rows * view.columns for view in views)
    pixels = sum(counts) * engines.manifest.preprocessing.patch_size**2
    return Trial(source_pixels, counts, pixels, len(rows), **timings)


def _first_token(model: LanguageModel, rows: NDArray[np.float32]) -> None:
    model.clear()
    model.prefill([rows])
    tokens = model.generate(Sampling(), max_tokens=1)
    next(tokens)
    tokens.close()


def _median(trials: Sequence[Trial]) -> Trial:
    """Combine one trial of several rounds: the median of each time."""
    return Trial(
        *(trials[0].source_pixels, trials[0].patches, trials[0].view_pixels, trials[0].tokens),
        *(statistics.median(getattr(trial, stage) for trial in trials) for stage in ("slicing", "encoding", "prompt")),
    )


def _seconds(trial: Trial) -> float:
    return trial.total / 1e3


def _noise(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
