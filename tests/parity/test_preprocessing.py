"""Grids, sizes and pixel values equal those of `MiniCPMV4_6ImageProcessorPil`, bit for bit."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from PIL import Image
from support.preprocessing_reference import MODES, Prepared, ours, preprocessing, their_grid, theirs

from uhd_edge.runtime.bundles.manifest import Preprocessing
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.vision.slicing import plan_slices

# width x height; transformers fails on none of them, and on none of the drawn ones
NAMED = [(365, 211), (153, 174), (1084, 820), (1920, 300), (90, 700), (1, 1), (4000, 1), (1, 4000)]
MAX_SLICES = (1, 4, 9, 36)


def drawn_sizes(count: int) -> list[tuple[int, int]]:
    """Sides 1 to 4000, most of them small or thin: a few large ones cost more than all others."""
    draw = random.Random(20)
    sizes = [tuple(round(4000 ** draw.random()) for _ in range(2)) for _ in range(count)]
    return [(width, height) for width, height in sizes if width * height <= 1_200_000]


def drawn_for_slices(count: int, scale: int) -> list[tuple[int, int]]:
    """Areas of 1 to 60 views of scale * scale pixels, shapes up to 12 times as long as wide."""
    draw = random.Random(36)
    shapes = [(scale * math.sqrt(60 ** draw.random()), math.sqrt(12 ** draw.uniform(-1, 1))) for _ in range(count)]
    return [(math.ceil(side * shape), math.ceil(side / shape)) for side, shape in shapes]


SIZES = [*NAMED, *drawn_sizes(330), (4000, 2500), (1211, 4000)]
# Small views cost little, so that many sizes can be cut into as many as 36.
SMALL_SCALE = 112
SLICED_SIZES = drawn_for_slices(120, SMALL_SCALE)


def photo(width: int, height: int) -> Image.Image:
    """Smooth and noisy parts, different in every channel and at every place."""
    noise = np.random.default_rng(width * 4001 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    slope = (np.arange(height)[:, None] * 3 + np.arange(width) * 2).astype(np.uint8)[..., None]
    return Image.fromarray(np.where(np.arange(width)[:, None] % 64 < 32, noise, slope))


def slices(size: tuple[int, int], scale: int, max_slices: int) -> int:
    values = preprocessing(scale_resolution=scale)
    return math.prod(plan_slices(*size, values, mode="16x", max_slices=max_slices).grid)


def compare_under_every_limit(image: Image.Image, values: Preprocessing, mode: Mode) -> None:
    """Run ours under each limit, the reference once for each grid that the limits lead to."""
    known: dict[tuple[int, ...], Prepared] = {}
    for max_slices in MAX_SLICES:
        grid = their_grid(image, values, max_slices)
        if grid not in known:
            known[grid] = theirs(image, values, mode, max_slices)
        assert ours(image, values, mode, max_slices) == known[grid], (image.size, max_slices)


def test_at_least_three_hundred_sizes_are_drawn_and_thin_and_sliced_ones_are_among_them() -> None:
    assert len(set(SIZES)) >= 300
    assert sum(max(size) > 20 * min(size) for size in SIZES) >= 50
    assert sum(slices(size, 448, 9) > 1 for size in SIZES) >= 35
    assert all(slices(size, SMALL_SCALE, 36) > 1 for size in SLICED_SIZES)
    assert sum(slices(size, SMALL_SCALE, 36) > 9 for size in SLICED_SIZES) >= 50
    assert sum(slices(size, SMALL_SCALE, 36) >= 35 for size in SLICED_SIZES) >= 10


@pytest.mark.parametrize("part", range(7))
def test_every_view_of_every_size_equals_the_reference(part: int) -> None:
    values = preprocessing(mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711))
    for width, height in SIZES[part::7]:
        image = photo(width, height)
        for mode in MODES:
            if width * height > values.scale_resolution**2:
                compare_under_every_limit(image, values, mode)
            else:
                assert ours(image, values, mode, 9) == theirs(image, values, mode, 9), (width, height)


@pytest.mark.parametrize("mode", MODES)
def test_every_view_of_sizes_with_up_to_36_slices_equals_the_reference(mode: Mode) -> None:
    values = preprocessing(scale_resolution=SMALL_SCALE)
    for width, height in SLICED_SIZES:
        compare_under_every_limit(photo(width, height), values, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("max_slices", MAX_SLICES)
@pytest.mark.parametrize(("width", "height"), NAMED)
def test_the_named_sizes_equal_the_reference_in_both_modes(
    width: int, height: int, max_slices: int, mode: Mode
) -> None:
    image = photo(width, height)
    assert ours(image, preprocessing(), mode, max_slices) == theirs(image, preprocessing(), mode, max_slices)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "changes",
    [
        {"scale_resolution": 224},
        {"scale_resolution": 500, "max_slices": 4},
        {"resample": 2},
        {"resample": 0, "patch_size": 16},
        {"slicing": False},
        {"rescale_factor": 1 / 127.5, "mean": (1.0, 1.0, 1.0), "std": (1.0, 0.3, 0.7)},
        {"rescale_factor": 0.1, "mean": (0.1, 0.2, 0.3), "std": (3.0, 0.7, 0.11)},
    ],
    ids=str,
)
def test_other_settings_of_the_processor_equal_the_reference(changes: dict[str, object], mode: Mode) -> None:
    values = preprocessing(**changes)
    for width, height in ((365, 211), (700, 520), (90, 700), (1, 50)):
        image = photo(width, height)
        assert ours(image, values, mode, None) == theirs(image, values, mode, values.max_slices), (width, height)


def test_every_grid_and_size_up_to_4000_equals_the_reference_without_drawing_it() -> None:
    """The arithmetic alone costs nothing, so it is compared on thousands of sizes more."""
    from transformers import MiniCPMV4_6ImageProcessorPil

    processor = MiniCPMV4_6ImageProcessorPil()
    draw = random.Random(7)
    for _ in range(6000):
        width, height = (draw.choice([draw.randint(1, 4000), round(4000 ** draw.random())]) for _ in range(2))
        mode, limit, scale = draw.choice(MODES), draw.randint(1, 40), draw.choice([112, 224, 448, 500, 980])
        plan = plan_slices(width, height, preprocessing(scale_resolution=scale), mode=mode, max_slices=limit)
        grid = processor.get_sliced_grid((height, width), limit, scale)
        assert plan.grid == tuple(grid or (0, 0))
        size = processor.find_best_resize((height, width), scale, 14, mode, allow_upscale=grid is None)
        assert plan.thumbnail == size
        if grid:
            refined = processor.get_refine_size((height, width), grid, scale, 14, mode, allow_upscale=True)
            assert plan.refined == refined
