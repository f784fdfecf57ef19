"""Operations of a picture: its views in every encoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uhd_edge.runtime.bundles.model_sizes import LLAVA_UHD_V4_8M_BASELINE, MINICPM_V_4_6
from uhd_edge.runtime.vision.flops import view_flops
from uhd_edge.runtime.vision.flops_of_pictures import flops_of_picture


def test_compressing_one_view_of_the_real_model_halves_the_usual_count() -> None:
    by_name = {one.encoding: one.flops for one in flops_of_picture(MINICPM_V_4_6, 448, 448)}
    assert by_name["post-vit"].encoder / 1e9 == pytest.approx(974, abs=0.5)
    assert by_name["16x"].encoder / 1e9 == pytest.approx(477, abs=0.5)


def test_a_sliced_picture_is_counted_view_by_view() -> None:
    counted = {one.encoding: one for one in flops_of_picture(MINICPM_V_4_6, 1344, 1344)}
    assert counted["16x"].views == (1024,) * 10
    assert counted["16x"].flops.total == 10 * view_flops(MINICPM_V_4_6, 1024, compressed=True).total
    assert {name: one.tokens for name, one in counted.items()} == {
        "16x": 640,
        "4x": 2560,
        "post-vit": 2560,
        "global": 2304,
    }
    assert counted["global"].views == (96 * 96,)


def test_a_model_without_a_compressor_is_the_baseline_itself() -> None:
    baseline, post_vit = LLAVA_UHD_V4_8M_BASELINE, flops_of_picture(MINICPM_V_4_6, 1344, 1344)[2]
    counted = flops_of_picture(baseline, 1344, 1344)
    assert [one.encoding for one in counted] == ["post-vit", "global"]
    assert (counted[0].views, counted[0].tokens) == (post_vit.views, 640)
    assert counted[0].flops.encoder == post_vit.flops.encoder
    assert view_flops(baseline, 1024, compressed=True) == view_flops(baseline, 1024, compressed=False)


def test_fewer_slices_are_counted_when_they_are_limited() -> None:
    thumbnail = flops_of_picture(MINICPM_V_4_6, 1344, 1344, max_slices=1)[0]
    assert thumbnail.views == (1024,)


@given(width=st.integers(1, 6000), height=st.integers(1, 6000))
def test_global_is_one_view_of_the_picture_s_own_size(width: int, height: int) -> None:
    if max(width, height) > 20 * min(width, height):
        return  # refused as too thin
    counted = flops_of_picture(MINICPM_V_4_6, width, height)[-1]
    (patches,) = counted.views
    rows, columns = (max(2, 2 * round(side / 28)) for side in (height, width))
    assert (counted.encoding, patches, counted.tokens) == ("global", rows * columns, rows * columns // 4)
