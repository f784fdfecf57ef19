"""The world of uhd-tiny: scenes keep within their ranges, and a seed repeats them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from uhd_edge.tiny.world.drawing import draw_picture, quick_noise
from uhd_edge.tiny.world.labels import glyph_centres, see_all
from uhd_edge.tiny.world.scenes import ALPHABET, COLOURS, HARD_SINGLE, HARD_SLICED, SINGLE, SLICED, World, draw_scene
from uhd_edge.tiny.world.views import View, plan_views

WORLDS = pytest.mark.parametrize(
    "world", [SINGLE, SLICED, HARD_SINGLE, HARD_SLICED], ids=["single", "sliced", "hard single", "hard sliced"]
)


@WORLDS
def test_a_seed_repeats_its_scene_and_its_picture(world: World) -> None:
    scene, again = draw_scene("a seed", world), draw_scene("a seed", world)
    assert scene == again
    assert np.array_equal(np.asarray(draw_picture(scene)), np.asarray(draw_picture(again)))
    assert scene != draw_scene("another seed", world)


@WORLDS
def test_drawn_scenes_obey_the_ranges_of_their_world(world: World) -> None:
    for index in range(50):
        scene = draw_scene(f"ranges/{index}", world)
        assert world.sides[0] <= scene.width <= world.sides[1]
        assert world.sides[0] <= scene.height <= world.sides[1]
        assert world.objects[0] <= len(scene.objects) <= world.objects[1]
        for drawn in scene.objects:
            assert world.fonts[0] <= drawn.size <= world.fonts[1]
            assert world.code_lengths[0] <= len(drawn.code) <= world.code_lengths[1]
            assert set(drawn.code) <= set(ALPHABET)
            shift = np.abs(np.array(drawn.rgb) - np.array(COLOURS[drawn.colour]))
            assert shift.max() <= 12
            left, top, right, bottom = drawn.box
            assert min(left, top) >= 0
            assert right <= scene.width
            assert bottom <= scene.height


def test_objects_of_a_scene_stand_apart_and_differ() -> None:
    for index in range(50):
        scene = draw_scene(f"apart/{index}", SLICED)
        for one, other in itertools.combinations(scene.objects, 2):
            assert (one.colour, one.shape) != (other.colour, other.shape)
            assert one.code != other.code
            a, b = one.box, other.box
            assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


def test_a_shape_has_its_colour_where_its_centre_is_said_to_be() -> None:
    for index in range(20):
        scene = draw_scene(f"colour/{index}", SINGLE)
        pixels = np.asarray(draw_picture(scene)).astype(float)
        for drawn in scene.objects:
            x, y = int(drawn.x), int(drawn.y)
            near = pixels[y - 3 : y + 4, x - 3 : x + 4].mean(axis=(0, 1))
            assert np.abs(near - np.array(drawn.rgb)).max() < 25


def test_glyphs_are_where_their_labels_say() -> None:
    view = View(16, 16, 0, 0, 224, 224)
    for index in range(20):
        scene = draw_scene(f"glyphs/{index}", SINGLE)
        pixels = np.asarray(draw_picture(scene).convert("L")).astype(float)
        for drawn in scene.objects:
            for x, y in glyph_centres(drawn, view):
                reach = drawn.size // 3
                around = pixels[int(y) - reach : int(y) + reach, int(x) - reach : int(x) + reach]
                assert around.max() - around.min() > 50  # ink and background


def test_every_object_is_seen_by_the_thumbnail_and_by_a_slice() -> None:
    for index in range(20):
        scene = draw_scene(f"seen/{index}", SLICED)
        views, _ = plan_views(scene.width, scene.height, compress=True)
        assert len(see_all(scene, views[0])) == len(scene.objects)
        seen = [seen for view in views[1:] for seen in see_all(scene, view) if seen.glyphs]
        codes = ["".join(character for character, _, _ in part.glyphs) for part in seen]
        for drawn in scene.objects:
            assert sum(drawn.code.startswith(code) or drawn.code.endswith(code) for code in codes) >= 1


def test_the_noise_of_training_is_a_scenes_own_and_of_the_same_strength() -> None:
    one, other = (draw_scene(f"noise/{index}", SINGLE) for index in range(2))
    noise = quick_noise(one)
    assert noise.shape == (224, 224, 3)
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(1, abs=0.02)
    assert np.array_equal(noise, quick_noise(one))
    assert not np.array_equal(noise, quick_noise(other))
