"""Shape profiles: everything that slicing can produce fits one, and no more memory is reserved than said."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uhd_edge.engines.building.profiles import Slicing, boxes, connector_profile, encoder_profiles, patch_counts
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Preprocessing
from uhd_edge.runtime.checking.building import engine_orders
from uhd_edge.runtime.vision.slicing import plan_slices

REAL = Slicing(scale=448, patch=14, block=4, max_slices=9, largest_view=4096, batch_patches=2560)
BLOCKS: dict[Literal["16x", "4x"], int] = {"16x": 4, "4x": 2}


def preprocessing(scale: int, *, slicing: bool = True) -> Preprocessing:
    half = (0.5, 0.5, 0.5)
    return Preprocessing(
        scale_resolution=scale,
        max_slices=9,
        patch_size=14,
        slicing=slicing,
        rescale_factor=1 / 255,
        mean=half,
        std=half,
        resample=3,
    )


@given(
    width=st.one_of(st.integers(1, 5000), st.integers(1, 200_000)),
    height=st.one_of(st.integers(1, 5000), st.integers(1, 50)),
    mode=st.sampled_from(["16x", "4x"]),
    scale=st.sampled_from([112, 224, 448]),
    max_slices=st.sampled_from([1, 2, 5, 9, 36]),
    turned=st.booleans(),
)
def test_every_batch_that_slicing_can_produce_fits_a_box(
    *, width: int, height: int, mode: Literal["16x", "4x"], scale: int, max_slices: int, turned: bool
) -> None:
    slicing = Slicing(scale, 14, BLOCKS[mode], max_slices, 4096, 2560)
    if turned:
        width, height = height, width
    plan = plan_slices(width, height, preprocessing(scale), mode=mode, max_slices=max_slices)
    views = Counter(rows * columns for rows, columns in plan.views)
    if max(views) > slicing.largest_view:
        return  # refused before it is encoded
    known, found = patch_counts(slicing), boxes(slicing)
    for count, number in views.items():
        single_block = count == slicing.block**2
        assert single_block or count in known
        batch = 1 if single_block else min(number, max(1, slicing.batch_patches // count))
        assert any(box.fewest <= count <= box.most and batch <= box.batch for box in found)


@given(
    scale=st.integers(56, 980),
    block=st.sampled_from([2, 4, 8]),
    max_slices=st.integers(1, 64),
    batch_patches=st.integers(256, 8192),
)
def test_boxes_cover_all_counts_in_order_and_keep_to_their_memory(
    scale: int, block: int, max_slices: int, batch_patches: int
) -> None:
    slicing = Slicing(scale, 14, block, max_slices, 8192, batch_patches)
    found = boxes(slicing)
    for count in patch_counts(slicing):
        (box,) = [box for box in found if box.fewest <= count <= box.most]
        assert box.batch >= slicing.largest_batch(count)
    for before, after in pairwise(found):
        assert before.most < after.fewest
    for box in found:
        assert box.batch * box.most <= max(2 * batch_patches, slicing.largest_view)
        assert box.fewest <= box.usual[1] <= box.most
        assert 1 <= box.usual[0] <= box.batch
        assert box.fewest % block**2 == box.most % block**2 == box.usual[1] % block**2 == 0


def test_the_real_model_gets_one_box_for_ordinary_views_and_one_for_very_long_ones() -> None:
    ordinary, long = boxes(REAL)
    assert (ordinary.batch, ordinary.usual) == (3, (2, 1024))
    assert (long.batch, long.most) == (1, 4096)


def test_without_slices_one_view_at_a_time_is_all_there_is() -> None:
    (box,) = boxes(replace(REAL, max_slices=1))
    assert (box.batch, box.usual) == (1, (1, 1024))


def test_more_slices_of_a_small_tower_make_larger_batches() -> None:
    small = replace(REAL, scale=224)
    assert boxes(replace(small, max_slices=4))[0].batch == 5
    assert boxes(small)[0].batch == 10


def test_an_encoder_profile_gives_both_inputs_the_same_batch_and_count() -> None:
    for profile in encoder_profiles(REAL, patch_values=588):
        patches, positions = profile["patches"], profile["position_ids"]
        for corner in ("smallest", "usual", "largest"):
            assert getattr(patches, corner) == (*getattr(positions, corner), 588)


def test_the_encoder_of_both_modes_is_one_engine_whose_profiles_choose_between_them(qwen3_bundle: Bundle) -> None:
    encoder, connector = engine_orders(qwen3_bundle, modes=["16x", "4x"], precision="fp16")
    assert (encoder.name, connector.name) == ("encoder-fp16", "connector-fp16")
    kept = []
    for profile in encoder.profiles:
        for corner in ("smallest", "usual", "largest"):
            _, patches = getattr(profile["position_ids"], corner)
            kept.append(getattr(profile["uncompressed"], corner)[1] * 4 / patches)
    assert set(kept) == {0, 1}
    for mode in ("16x", "4x"):
        alone, _ = engine_orders(qwen3_bundle, modes=[mode], precision="fp16")
        assert alone.name == f"encoder-{mode}-fp16"
        assert [profile for profile in encoder.profiles if profile in alone.profiles] == list(alone.profiles)


@pytest.mark.parametrize("order", [("16x", "4x"), ("4x", "16x")])
def test_a_shared_connector_takes_what_either_encoder_gives(order: tuple[Literal["16x", "4x"], ...]) -> None:
    slicings = {replace(REAL, block=BLOCKS[mode]): 4 if mode == "16x" else 1 for mode in order}
    (profile,) = connector_profile(slicings, width=1152)
    features = profile["features"]
    for slicing, patches in slicings.items():
        for box in boxes(slicing):
            assert features.smallest[1] <= box.fewest // patches
            assert features.largest[1] >= box.most // patches
            assert features.largest[0] >= box.batch
    assert features.usual == (2, 1024 // (4 if order[0] == "16x" else 1), 1152)
