"""Seeing again: which views of a frame are encoded, and that reuse changes nothing."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from support.preprocessing_reference import theirs
from support.telling_bundle import telling_bundle

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime import Assistant, Bundle, VisionEncoder
from uhd_edge.runtime.errors import EngineError, OptionError
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.scenes import SLICED, Scene, draw_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FRAMES = 100


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return telling_bundle(tmp_path_factory.mktemp("bundles") / "telling")


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many views went through an encoder at once, run by run."""
    sizes: list[int] = []
    run = OnnxRuntimeEngine.run

    def noting_run(self: OnnxRuntimeEngine, inputs: dict[str, Any]) -> Any:
        if "patches" in inputs:
            sizes.append(len(inputs["patches"]))
        return run(self, inputs)

    monkeypatch.setattr(OnnxRuntimeEngine, "run", noting_run)
    return sizes


def moving_scene() -> Iterator[Scene]:
    """100 frames of 800 x 600: an object moves right and down, stands still now and then, and comes back."""
    first = dataclasses.replace(draw_scene("a workbench", SLICED, (800, 600)), noise=0.0, jpeg_quality=None)
    mover, *others = first.objects
    for number in range(FRAMES):
        way = min(number, FRAMES - 1 - number) // 3 * 7
        moved = dataclasses.replace(mover, x=80.0 + way, y=90.0 + way / 2)
        yield dataclasses.replace(first, objects=(*others, moved))


def noise(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    width, height = size
    return np.random.default_rng(seed).integers(60, 196, (height, width, 3), dtype=np.uint8)


def test_of_a_scene_in_which_one_object_moves_only_changed_views_are_encoded(batches: list[int]) -> None:
    """Counted against the patches that transformers' processor makes of each frame."""
    pictures = [draw_picture(scene) for scene in moving_scene()]
    assert pictures[0].size == (800, 600)
    bundle = Bundle.open()
    seen_before: set[bytes] = set()
    counts = []
    with VisionEncoder(bundle, threads=1) as encoder, VisionEncoder(bundle, threads=1, cache_bytes=0) as scratch:
        for picture in pictures:
            views = theirs(picture, bundle.manifest.preprocessing, "16x", 9).patches
            different = {view.tobytes() for view in views}
            batches.clear()
            seen = encoder.encode(picture)
            assert sum(batches) == seen.encoded == len(different - seen_before)
            assert seen.reused == len(views) - seen.encoded
            assert len(batches) <= 1, "views of one size go together"
            seen_before |= different
            counts.append(seen.encoded)
            np.testing.assert_allclose(
                seen.embeddings, scratch.encode(picture).embeddings, rtol=0, atol=1e-5, strict=True
            )
    assert counts[0] == 10
    assert counts[1] == 0, "a frame that stands still costs nothing"
    assert 1 < max(counts[1:]) < 10, "the object is in one or a few slices, and the thumbnail"
    assert sum(counts[FRAMES // 2 :]) == 0, "on its way back everything has been seen"


def test_different_views_of_one_size_are_one_batch_and_equal_ones_are_encoded_once(
    telling: Bundle, batches: list[int]
) -> None:
    frame = noise((336, 336))
    with VisionEncoder(telling, threads=1) as encoder:
        assert encoder.encode(frame).encoded == 10
        frame[:112, :112] ^= 1
        frame[300:, 300:] ^= 1
        seen = encoder.encode(frame)
        blank = encoder.encode(np.full((336, 336, 3), 90, np.uint8))
    assert (seen.reused, seen.encoded) == (7, 3)
    assert (blank.reused, blank.encoded) == (9, 1)
    assert batches == [10, 3, 1]


def test_modes_do_not_share_their_embeddings(telling: Bundle) -> None:
    with VisionEncoder(telling, threads=1) as encoder, VisionEncoder(telling, cache_bytes=0, threads=1) as scratch:
        for mode in ("16x", "4x", "16x", "4x"):
            seen = encoder.encode(noise((336, 224)), mode=mode)  # type: ignore[arg-type]
            expected = scratch.encode(noise((336, 224)), mode=mode)  # type: ignore[arg-type]
            np.testing.assert_array_equal(seen.embeddings, expected.embeddings)


def test_without_a_cache_everything_is_encoded_every_time(telling: Bundle, batches: list[int]) -> None:
    blank = np.full((336, 336, 3), 90, np.uint8)
    with VisionEncoder(telling, threads=1, cache_bytes=0) as encoder:
        for _ in range(2):
            seen = encoder.encode(blank, tolerance=255)
            assert (seen.reused, seen.encoded) == (0, 10)
    assert batches == [10, 10]


def test_a_cache_of_one_view_forgets_the_others(telling: Bundle) -> None:
    one_view = 4 * 64 * 4 + 1024
    with VisionEncoder(telling, threads=1, max_slices=1, cache_bytes=one_view) as encoder:
        counts = [encoder.encode(noise((112, 112), seed)).encoded for seed in (0, 0, 1, 0, 0)]
    assert counts == [1, 0, 1, 1, 0]


def test_writing_into_embeddings_changes_nothing_that_is_kept(telling: Bundle) -> None:
    with VisionEncoder(telling, threads=1) as encoder:
        for size in ((336, 224), (112, 112)):
            first = encoder.encode(noise(size), tolerance=1)
            expected = first.embeddings.copy()
            first.embeddings[:] = np.nan
            again = encoder.encode(noise(size), tolerance=1)
            assert again.encoded == 0
            np.testing.assert_array_equal(again.embeddings, expected)
            again.embeddings[:] = np.nan
            np.testing.assert_array_equal(encoder.encode(noise(size)).embeddings, expected)


def test_changing_the_pixels_of_a_frame_later_changes_nothing_that_is_kept(telling: Bundle) -> None:
    frame = noise((112, 112))
    with VisionEncoder(telling, threads=1, max_slices=1) as encoder:
        encoder.encode(frame, tolerance=1)
        before = frame.copy()
        frame[:] = 255 - frame
        assert encoder.encode(frame, tolerance=1).encoded == 1
        assert encoder.encode(before, tolerance=1).encoded == 0


def test_a_noisy_camera_is_reused_within_the_tolerance_and_not_beyond(telling: Bundle) -> None:
    """The picture is as large as its views, so that its pixels are the views' own."""
    frame = noise((112, 112))
    nearer, farther = frame.copy(), frame.copy()
    nearer[::2] += 4  # 2 grey levels in the mean
    farther[::2] += 5
    with VisionEncoder(telling, threads=1, max_slices=1) as encoder:
        first = encoder.encode(frame, tolerance=2)
        near = encoder.encode(nearer, tolerance=2)
        far = encoder.encode(farther, tolerance=2)
        exact = encoder.encode(nearer)
    assert [first.encoded, near.encoded, far.encoded, exact.encoded] == [1, 0, 1, 1]
    np.testing.assert_array_equal(near.embeddings, first.embeddings)
    assert np.abs(far.embeddings - first.embeddings).max() > 0
    assert np.abs(exact.embeddings - first.embeddings).max() > 0


def test_a_slow_drift_is_encoded_again_as_often_as_it_leaves_the_tolerance(telling: Bundle) -> None:
    """One grey level a frame: measured against the last frame it would never be encoded again."""
    frames = [noise((112, 112)) + np.uint8(step) for step in range(13)]
    with VisionEncoder(telling, threads=1, max_slices=1) as encoder:
        seen = [encoder.encode(frame, tolerance=3) for frame in frames]
        exact = [encoder.encode(frame) for frame in frames]
    assert [number for number, frame in enumerate(seen) if frame.encoded] == [0, 4, 8, 12]
    reds = slice(0, None, 4)
    for ours, true in zip(seen, exact, strict=True):
        drift = np.abs(ours.embeddings[:, reds] - true.embeddings[:, reds]).max()
        assert drift <= 3 / 127.5 + 1e-6


def test_a_place_that_another_camera_takes_meanwhile_keeps_the_pixels_that_were_encoded(
    telling: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the changed half of a frame is encoded, a frame of another camera is looked at."""
    frame, other = noise((224, 112)), noise((224, 112), seed=1)
    run = OnnxRuntimeEngine.run
    others = iter([other])

    def interrupted_run(self: OnnxRuntimeEngine, inputs: dict[str, Any]) -> Any:
        for picture in others:
            encoder.encode(picture, tolerance=3)
        return run(self, inputs)

    with VisionEncoder(telling, threads=1) as encoder:
        encoder.encode(frame, tolerance=3)
        drifted = frame.copy()
        drifted[:, :112] += 2
        drifted[:, 112:] += 20
        monkeypatch.setattr(OnnxRuntimeEngine, "run", interrupted_run)
        before = encoder.encode(drifted, tolerance=3)
        assert before.reused >= 1
        drifted[:, :112] += 2
        after = encoder.encode(drifted, tolerance=3)
        slices = slice(after.views[0].tokens, after.views[0].tokens + after.views[1].tokens)
        assert np.abs(after.embeddings[slices] - before.embeddings[slices]).max() > 0, "4 levels from what was encoded"


def test_the_tolerance_is_for_each_view_by_itself(telling: Bundle) -> None:
    frame = noise((336, 336))
    with VisionEncoder(telling, threads=1) as encoder:
        encoder.encode(frame, tolerance=1)
        frame[:112, :112] += 8  # 8 levels in the first slice, about 0.9 in the thumbnail
        seen = encoder.encode(frame, tolerance=1)
    assert (seen.reused, seen.encoded) == (9, 1)


def test_what_lies_elsewhere_is_not_compared(telling: Bundle) -> None:
    """Another image size, grid, place or mode is another place, however near the pixels are."""
    grey = np.full((336, 336, 3), 100, np.uint8)
    grey[:112] += np.arange(3, dtype=np.uint8).repeat(112)[:, None]  # 100, 101, 102
    with VisionEncoder(telling, threads=1) as encoder:
        first = encoder.encode(grey, tolerance=50)
        assert first.encoded == 4, "three kinds of slices, and the thumbnail"
        assert encoder.encode(grey + np.uint8(5), tolerance=50).encoded == 0
        assert encoder.encode(grey + np.uint8(5), tolerance=50, mode="4x").encoded == 4
        assert encoder.encode(grey + np.uint8(6), tolerance=50, max_slices=4).encoded > 0
        assert encoder.encode(grey[:, :330] + np.uint8(7), tolerance=50).encoded > 0


@pytest.mark.parametrize("wrong", [-0.1, 256, float("nan"), "3", True, None])
def test_a_senseless_tolerance_is_refused(telling: Bundle, wrong: Any) -> None:
    with VisionEncoder(telling, threads=1) as encoder, pytest.raises(OptionError, match="tolerance"):
        encoder.encode(noise((50, 50)), tolerance=wrong)


@pytest.mark.parametrize("wrong", [-1, 1.5, "1 GB", True, False, None, 2**41])
def test_a_senseless_cache_size_is_refused(telling: Bundle, wrong: Any) -> None:
    with pytest.raises(OptionError, match="cache_bytes"):
        VisionEncoder(telling, cache_bytes=wrong)
    with pytest.raises(OptionError, match="cache_bytes"):
        Assistant(cache_bytes=wrong)


def test_two_threads_that_want_the_same_views_encode_them_once(
    telling: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run waits until the other thread has looked for its views."""
    frame = noise((336, 336))
    encoded: list[int] = []
    other_began = threading.Event()
    run = OnnxRuntimeEngine.run
    results: list[Any] = []

    def held_run(self: OnnxRuntimeEngine, inputs: dict[str, Any]) -> Any:
        if "patches" in inputs:
            encoded.append(len(inputs["patches"]))
            if len(encoded) == 1:
                other.start()
                assert other_began.wait(timeout=60)
        return run(self, inputs)

    def look_at_more() -> None:
        changed = frame.copy()
        changed[:112, :112] ^= 1
        results.append(encoder.encode(changed))

    def began_sharing(wanted: Any) -> Any:
        shares = sharing(wanted)
        if threading.current_thread() is other:
            other_began.set()
        return shares

    other = threading.Thread(target=look_at_more)
    monkeypatch.setattr(OnnxRuntimeEngine, "run", held_run)
    with VisionEncoder(telling, threads=1) as encoder:
        sharing = encoder._cache.sharing  # type: ignore[union-attr]
        monkeypatch.setattr(encoder._cache, "sharing", began_sharing)
        first = encoder.encode(frame)
        other.join(timeout=60)
    assert encoded == [10, 2]
    (second,) = results
    assert (first.encoded, second.encoded, second.reused) == (10, 2, 8)
    np.testing.assert_array_equal(first.embeddings[12:], second.embeddings[12:])


def test_a_view_that_failed_is_tried_again(telling: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    run = OnnxRuntimeEngine.run

    def failing_run(self: OnnxRuntimeEngine, inputs: dict[str, Any]) -> Any:
        raise EngineError("no power")

    with VisionEncoder(telling, threads=1) as encoder:
        monkeypatch.setattr(OnnxRuntimeEngine, "run", failing_run)
        with pytest.raises(EngineError, match="no power"):
            encoder.encode(noise((336, 224)))
        monkeypatch.setattr(OnnxRuntimeEngine, "run", run)
        assert encoder.encode(noise((336, 224))).encoded == 7


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


def test_asking_again_about_an_image_does_not_encode_it_again(batches: list[int]) -> None:
    picture = Image.fromarray(noise((500, 400)))
    with Assistant(threads=1) as assistant, Assistant(threads=1, cache_bytes=0) as forgetful:
        for asked in (assistant, forgetful):
            batches.clear()
            answers = [asked.ask(picture, "What is labelled FEC?", max_tokens=4).text for _ in range(2)]
            assert answers[0] == answers[1]
            assert len(batches) == (1 if asked is assistant else 2)
