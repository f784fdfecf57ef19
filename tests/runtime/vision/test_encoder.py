"""Encoding: which patches an embedding is made of, what is told of the views, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.images.noise import photo
from support.preprocessing_reference import MODES, theirs
from support.telling_bundle import telling_bundle
from support.vision.told_embeddings import expected_embeddings, split

from uhd_edge.runtime import timing as stages
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import EngineError, EngineUnavailableError, ImageError, OptionError
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.validation import require_whole
from uhd_edge.runtime.vision.encoder import VisionEncoder


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    width=st.integers(1, 500),
    height=st.integers(1, 500),
    mode=st.sampled_from(MODES),
    max_slices=st.integers(1, 12),
)
def test_every_embedding_is_made_of_its_own_patches_in_the_reference_order(
    bundle: Bundle, width: int, height: int, mode: Mode, max_slices: int
) -> None:
    with VisionEncoder(bundle, mode=mode, max_slices=max_slices, threads=1) as encoder_:
        seen = encoder_.encode(photo(width, height))
    expected = expected_embeddings(photo(width, height), bundle, mode, max_slices)
    assert seen.embeddings.dtype == np.float32
    assert seen.embeddings.flags.c_contiguous
    assert len(seen.views) == len(expected) == 1 + seen.grid[0] * seen.grid[1]
    for ours, reference in zip(split(seen), expected, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=0, atol=2e-4)


def test_the_views_come_thumbnail_first_with_their_sizes(bundle: Bundle) -> None:
    with VisionEncoder(bundle, threads=1) as encoder_:
        seen, wide = encoder_.encode(photo(300, 200)), encoder_.encode(photo(400, 150))
    prepared = theirs(photo(300, 200), bundle.manifest.preprocessing, "16x", 9)
    assert [(view.rows, view.columns) for view in seen.views] == prepared.sizes
    assert seen.grid == prepared.grid == (2, 3)
    assert [view.tokens for view in seen.views] == [rows * columns // 16 for rows, columns in prepared.sizes]
    assert seen.mode == "16x"
    of_wide = theirs(photo(400, 150), bundle.manifest.preprocessing, "16x", 9)
    assert [(view.rows, view.columns) for view in wide.views] == of_wide.sizes
    assert wide.views[0] != wide.views[1], "so that their order shows"


def test_an_unsliced_image_has_the_grid_zero_zero(bundle: Bundle) -> None:
    with VisionEncoder(bundle, threads=1) as encoder_:
        seen = encoder_.encode(photo(300, 200), max_slices=1)
    assert seen.grid == (0, 0)
    assert len(seen.views) == 1


def test_every_stage_is_timed_in_milliseconds(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that goes on by a second at every look, a stage takes as many seconds as it was entered."""
    clock = itertools.count()
    monkeypatch.setattr(stages.time, "perf_counter", lambda: float(next(clock)))
    with VisionEncoder(bundle, threads=1) as encoder_:
        timings = encoder_.encode(photo(400, 150)).timings_ms
        other = encoder_.encode(photo(401, 150)).timings_ms
        again = encoder_.encode(photo(401, 150)).timings_ms
    once, twice = dict.fromkeys(["decode", "slice", "open", "cache"], 1000), {"patches", "encoder", "connector"}
    assert timings == once | dict.fromkeys(twice, 2000)
    assert other == timings | {"open": 0}
    assert again == other | dict.fromkeys(twice, 0)


@pytest.mark.parametrize(("width", "height"), [(4000, 1), (1, 4000), (1, 2_000_000), (2_000_000, 1)])
def test_an_image_as_thin_as_a_thread_is_encoded_or_refused_in_one_line(
    tmp_path: Path, width: int, height: int
) -> None:
    real_size = telling_bundle(tmp_path / "real", scale_resolution=448)
    with VisionEncoder(real_size, threads=1) as encoder_:
        if width == 2_000_000:  # the reference rounds the height to nothing and makes single blocks of it
            assert {(view.rows, view.columns) for view in encoder_.encode(photo(width, height)).views} == {(4, 4)}
            return
        with pytest.raises(ImageError, match=rf"{width} x {height} pixels is too thin: .* over the limit of 4096"):
            encoder_.encode(photo(width, height))


def test_an_ordinary_view_of_a_large_scale_resolution_is_not_called_too_thin(tmp_path: Path) -> None:
    large = telling_bundle(tmp_path / "large", scale_resolution=980)
    with VisionEncoder(large, threads=1) as encoder_:
        assert encoder_.encode(photo(400, 400)).views[0].rows == 72


def test_modes_precisions_engines_and_slices_are_checked_when_the_encoder_is_made(bundle: Bundle) -> None:
    wrong: Any
    for wrong, told in (
        ({"mode": "8x"}, r"no 8x graphs; the bundle has 16x \(fp32\), 4x \(fp32\)"),
        ({"precision": "int8"}, r"no 16x graphs in int8; the bundle has 16x \(fp32\)"),
        ({"engine": "tensorrt"}, "the bundle has no TensorRT engines for 16x; build them with `uhd build"),
        ({"engine": "onnx"}, "unknown engine 'onnx'; use auto, onnxruntime"),
    ):
        with pytest.raises(EngineUnavailableError, match=told):
            VisionEncoder(bundle, **wrong)
    with pytest.raises(OptionError, match="max_slices is 0"):
        VisionEncoder(bundle, max_slices=0)
    for wrong in ("3", 2.5, True, -1, [2]):
        with pytest.raises(OptionError, match=r"max_slices is .*; it must be 1"):
            VisionEncoder(bundle, max_slices=wrong)
    for wrong in (0, "2", 1.5, 10**6):
        with pytest.raises(OptionError, match="threads is "):
            VisionEncoder(bundle, threads=wrong)


def test_numpys_whole_numbers_are_whole_numbers(bundle: Bundle) -> None:
    two: Any = np.int64(2)
    with VisionEncoder(bundle, max_slices=two, threads=two) as encoder_:
        assert len(encoder_.encode(photo(336, 336)).views) == 3
        assert len(encoder_.encode(photo(336, 336), max_slices=two * 2).views) == 5
    assert type(require_whole("threads", two, 1, 4)) is int, "not every library takes NumPy's"


def test_modes_and_slices_of_one_request_are_checked_too(bundle: Bundle) -> None:
    wrong: Any = "8x"
    with VisionEncoder(bundle) as encoder_:
        with pytest.raises(EngineUnavailableError, match="no 8x graphs"):
            encoder_.encode(photo(50, 50), mode=wrong)
        with pytest.raises(OptionError, match="max_slices is -1"):
            encoder_.encode(photo(50, 50), max_slices=-1)


def test_a_closed_encoder_says_so(bundle: Bundle) -> None:
    encoder_ = VisionEncoder(bundle, threads=1)
    encoder_.encode(photo(50, 50))
    encoder_.close()
    encoder_.close()
    with pytest.raises(EngineError, match="the vision encoder is closed"):
        encoder_.encode(photo(50, 50))
