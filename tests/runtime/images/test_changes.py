"""A picture is new when a part of it has changed by enough."""

from __future__ import annotations

import numpy as np
from PIL import Image
from support.places import EXAMPLES

from uhd_edge.runtime.images.changes import ChangeDetector

PICTURE = np.asarray(Image.open(EXAMPLES / "bench.png").convert("RGB").resize((320, 320)))


def test_the_first_picture_is_new_and_the_same_one_is_not() -> None:
    changes = ChangeDetector()
    assert changes.is_new(PICTURE, 5.0)
    assert not changes.is_new(PICTURE, 5.0)
    assert changes.is_new(PICTURE, 0.0)


def test_a_change_in_one_corner_counts_and_noise_everywhere_does_not() -> None:
    changes = ChangeDetector()
    changes.is_new(PICTURE, 8.0)
    noise = np.random.default_rng(0).normal(0, 12, PICTURE.shape)
    assert not changes.is_new(np.clip(PICTURE + noise, 0, 255).astype(np.uint8), 8.0)
    corner = PICTURE.copy()
    corner[-20:, -20:] = 0
    assert changes.is_new(corner, 8.0)
    assert not changes.is_new(corner, 8.0)


def test_small_changes_add_up() -> None:
    changes = ChangeDetector()
    assert [changes.is_new(np.full((8, 8), level, np.uint8), 10.0) for level in range(0, 40, 4)] == [
        True, False, False, True, False, False, True, False, False, True,
    ]  # fmt: skip


def test_another_size_of_the_same_picture_is_the_same() -> None:
    changes = ChangeDetector()
    changes.is_new(PICTURE, 5.0)
    assert not changes.is_new(Image.fromarray(PICTURE).resize((160, 160)), 5.0)
