"""A tolerance for frames of a noisy camera: what is near enough is reused, measured from what was encoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.images.noise import noise

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime import Assistant, Bundle, VisionEncoder
from uhd_edge.runtime.errors import OptionError


def test_changing_the_pixels_of_a_frame_later_changes_nothing_that_is_kept(bundle: Bundle) -> None:
    frame = noise((112, 112))
    with VisionEncoder(bundle, threads=1, max_slices=1) as encoder:
        encoder.encode(frame, tolerance=1)
        before = frame.copy()
        frame[:] = 255 - frame
        assert encoder.encode(frame, tolerance=1).encoded_views == 1
        assert encoder.encode(before, tolerance=1).encoded_views == 0


def test_a_noisy_camera_is_reused_within_the_tolerance_and_not_beyond(bundle: Bundle) -> None:
    """The picture is as large as its views, so that its pixels are the views' own."""
    frame = noise((112, 112))
    nearer, farther = frame.copy(), frame.copy()
    nearer[::2] += 4  # 2 grey levels in the mean
    farther[::2] += 5
    with VisionEncoder(bundle, threads=1, max_slices=1) as encoder:
        first = encoder.encode(frame, tolerance=2)
        near = encoder.encode(nearer, tolerance=2)
        far = encoder.encode(farther, tolerance=2)
        exact = encoder.encode(nearer)
    assert [first.encoded_views, near.encoded_views, far.encoded_views, exact.encoded_views] == [1, 0, 1, 1]
    np.testing.assert_array_equal(near.embeddings, first.embeddings)
    assert np.abs(far.embeddings - first.embeddings).max() > 0
    assert np.abs(exact.embeddings - first.embeddings).max() > 0


def test_a_slow_drift_is_encoded_again_as_often_as_it_leaves_the_tolerance(bundle: Bundle) -> None:
    """One grey level a frame: measured against the last frame it would never be encoded again."""
    frames = [noise((112, 112)) + np.uint8(step) for step in range(13)]
    with VisionEncoder(bundle, threads=1, max_slices=1) as encoder:
        seen = [encoder.encode(frame, tolerance=3) for frame in frames]
        exact = [encoder.encode(frame) for frame in frames]
    assert [number for number, frame in enumerate(seen) if frame.encoded_views] == [0, 4, 8, 12]
    reds = slice(0, None, 4)
    for ours, true in zip(seen, exact, strict=True):
        drift = np.abs(ours.embeddings[:, reds] - true.embeddings[:, reds]).max()
        assert drift <= 3 / 127.5 + 1e-6


def test_a_place_that_another_camera_takes_meanwhile_keeps_the_pixels_that_were_encoded(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the changed half of a frame is encoded, a frame of another camera is looked at."""
    frame, other = noise((224, 112)), noise((224, 112), seed=1)
    run = OnnxRuntimeEngine.run
    others = iter([other])

    def interrupted_run(self: OnnxRuntimeEngine, inputs: dict[str, Any]) -> Any:
        for picture in others:
            encoder.encode(picture, tolerance=3)
        return run(self, inputs)

    with VisionEncoder(bundle, threads=1) as encoder:
        encoder.encode(frame, tolerance=3)
        drifted = frame.copy()
        drifted[:, :112] += 2
        drifted[:, 112:] += 20
        monkeypatch.setattr(OnnxRuntimeEngine, "run", interrupted_run)
        before = encoder.encode(drifted, tolerance=3)
        assert before.reused_views >= 1
        drifted[:, :112] += 2
        after = encoder.encode(drifted, tolerance=3)
        slices = slice(after.views[0].tokens, after.views[0].tokens + after.views[1].tokens)
        assert np.abs(after.embeddings[slices] - before.embeddings[slices]).max() > 0, "4 levels from what was encoded"


def test_the_tolerance_is_for_each_view_by_itself(bundle: Bundle) -> None:
    frame = noise((336, 336))
    with VisionEncoder(bundle, threads=1) as encoder:
        encoder.encode(frame, tolerance=1)
        frame[:112, :112] += 8  # 8 levels in the first slice, about 0.9 in the thumbnail
        seen = encoder.encode(frame, tolerance=1)
    assert (seen.reused_views, seen.encoded_views) == (9, 1)


def test_what_lies_elsewhere_is_not_compared(bundle: Bundle) -> None:
    """Another image size, grid, place or mode is another place, however near the pixels are."""
    grey = np.full((336, 336, 3), 100, np.uint8)
    grey[:112] += np.arange(3, dtype=np.uint8).repeat(112)[:, None]  # 100, 101, 102
    with VisionEncoder(bundle, threads=1) as encoder:
        first = encoder.encode(grey, tolerance=50)
        assert first.encoded_views == 4, "three kinds of slices, and the thumbnail"
        assert encoder.encode(grey + np.uint8(5), tolerance=50).encoded_views == 0
        assert encoder.encode(grey + np.uint8(5), tolerance=50, mode="4x").encoded_views == 4
        assert encoder.encode(grey + np.uint8(6), tolerance=50, max_slices=4).encoded_views > 0
        assert encoder.encode(grey[:, :330] + np.uint8(7), tolerance=50).encoded_views > 0


@pytest.mark.parametrize("wrong", [-0.1, 256, float("nan"), "3", True, None])
def test_a_senseless_tolerance_is_refused(bundle: Bundle, wrong: Any) -> None:
    with VisionEncoder(bundle, threads=1) as encoder, pytest.raises(OptionError, match="tolerance"):
        encoder.encode(noise((50, 50)), tolerance=wrong)


def test_a_question_about_a_noisy_frame_reuses_views_within_its_tolerance() -> None:
    frame = noise((400, 300))
    with Assistant(threads=1) as assistant:
        views = len(assistant.ask(frame, "What is labelled FEC?", max_tokens=1, tolerance=2).views)
        reused = [
            assistant.ask(frame + np.uint8(level), "And?", max_tokens=1, tolerance=2).reused_views for level in (1, 9)
        ]
        with pytest.raises(OptionError, match="tolerance is -1"):
            assistant.ask(frame, "And?", tolerance=-1)
    assert reused == [views, 0]
