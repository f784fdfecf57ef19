"""Seeing again: which views of a frame are encoded, and that reuse changes nothing."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from support.images.noise import noise
from support.preprocessing_reference import theirs

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime import Assistant, Bundle, VisionEncoder
from uhd_edge.runtime.errors import EngineError, OptionError
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.scenes import SLICED, Scene, draw_scene

if TYPE_CHECKING:
    from collections.abc import Iterator


FRAMES = 40


def moving_scene() -> Iterator[Scene]:
    """40 frames of 800 x 600: an object moves right and down, stands still now and then, and comes back."""
    first = dataclasses.replace(draw_scene("a workbench", SLICED, (800, 600)), noise=0.0, jpeg_quality=None)
    mover, *others = first.objects
    for number in range(FRAMES):
        way = min(number, FRAMES - 1 - number) // 3 * 7
        moved = dataclasses.replace(mover, x=80.0 + way, y=90.0 + way / 2)
        yield dataclasses.replace(first, objects=(*others, moved))


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
            assert sum(batches) == seen.encoded_views == len(different - seen_before)
            assert seen.reused_views == len(views) - seen.encoded_views
            assert len(batches) <= 1, "views of one size go together"
            seen_before |= different
            counts.append(seen.encoded_views)
            np.testing.assert_allclose(
                seen.embeddings, scratch.encode(picture).embeddings, rtol=0, atol=1e-5, strict=True
            )
    assert counts[0] == 10
    assert counts[1] == 0, "a frame that stands still costs nothing"
    assert 1 < max(counts[1:]) < 10, "the object is in one or a few slices, and the thumbnail"
    assert sum(counts[FRAMES // 2 :]) == 0, "on its way back everything has been seen"


def test_different_views_of_one_size_are_one_batch_and_equal_ones_are_encoded_once(
    bundle: Bundle, batches: list[int]
) -> None:
    frame = noise((336, 336))
    with VisionEncoder(bundle, threads=1) as encoder:
        assert encoder.encode(frame).encoded_views == 10
        frame[:112, :112] ^= 1
        frame[300:, 300:] ^= 1
        seen = encoder.encode(frame)
        blank = encoder.encode(np.full((336, 336, 3), 90, np.uint8))
    assert (seen.reused_views, seen.encoded_views) == (7, 3)
    assert (blank.reused_views, blank.encoded_views) == (9, 1)
    assert batches == [10, 3, 1]


def test_of_equal_views_the_first_is_encoded_and_the_others_say_that_they_were_reused(bundle: Bundle) -> None:
    with VisionEncoder(bundle) as encoder:
        first, again = (encoder.encode(np.full((600, 800, 3), 90, np.uint8)) for _ in range(2))
    assert len({(view.rows, view.columns) for view in first.views}) == 1
    assert [view.reused for view in first.views] == [False] + [True] * first.reused_views
    assert all(view.reused for view in again.views)
    assert again.views == first.views


def test_modes_do_not_share_their_embeddings(bundle: Bundle) -> None:
    with VisionEncoder(bundle, threads=1) as encoder, VisionEncoder(bundle, cache_bytes=0, threads=1) as scratch:
        for mode in ("16x", "4x", "16x", "4x"):
            seen = encoder.encode(noise((336, 224)), mode=mode)  # type: ignore[arg-type]
            expected = scratch.encode(noise((336, 224)), mode=mode)  # type: ignore[arg-type]
            np.testing.assert_array_equal(seen.embeddings, expected.embeddings)


def test_without_a_cache_everything_is_encoded_every_time(bundle: Bundle, batches: list[int]) -> None:
    blank = np.full((336, 336, 3), 90, np.uint8)
    with VisionEncoder(bundle, threads=1, cache_bytes=0) as encoder:
        for _ in range(2):
            seen = encoder.encode(blank, tolerance=255)
            assert (seen.reused_views, seen.encoded_views) == (0, 10)
    assert batches == [10, 10]


def test_a_cache_of_one_view_forgets_the_others(bundle: Bundle) -> None:
    one_view = 4 * 64 * 4 + 1024
    with VisionEncoder(bundle, threads=1, max_slices=1, cache_bytes=one_view) as encoder:
        counts = [encoder.encode(noise((112, 112), seed)).encoded_views for seed in (0, 0, 1, 0, 0)]
    assert counts == [1, 0, 1, 1, 0]


def test_writing_into_embeddings_changes_nothing_that_is_kept(bundle: Bundle) -> None:
    with VisionEncoder(bundle, threads=1) as encoder:
        for size in ((336, 224), (112, 112)):
            first = encoder.encode(noise(size), tolerance=1)
            expected = first.embeddings.copy()
            first.embeddings[:] = np.nan
            again = encoder.encode(noise(size), tolerance=1)
            assert again.encoded_views == 0
            np.testing.assert_array_equal(again.embeddings, expected)
            again.embeddings[:] = np.nan
            np.testing.assert_array_equal(encoder.encode(noise(size)).embeddings, expected)


@pytest.mark.parametrize("wrong", [-1, 1.5, "1 GB", True, False, None, 2**41])
def test_a_senseless_cache_size_is_refused(bundle: Bundle, wrong: Any) -> None:
    with pytest.raises(OptionError, match="cache_bytes"):
        VisionEncoder(bundle, cache_bytes=wrong)
    with pytest.raises(OptionError, match="cache_bytes"):
        Assistant(cache_bytes=wrong)


def test_two_threads_that_want_the_same_views_encode_them_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
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

    other = threading.Thread(target=look_at_more, daemon=True)
    monkeypatch.setattr(OnnxRuntimeEngine, "run", held_run)
    with VisionEncoder(bundle, threads=1) as encoder:
        sharing = encoder._cache.sharing  # type: ignore[union-attr]
        monkeypatch.setattr(encoder._cache, "sharing", began_sharing)
        first = encoder.encode(frame)
        other.join(timeout=60)
    assert encoded == [10, 2]
    (second,) = results
    assert (first.encoded_views, second.encoded_views, second.reused_views) == (10, 2, 8)
    np.testing.assert_array_equal(first.embeddings[12:], second.embeddings[12:])


def test_a_view_that_failed_is_tried_again(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    run = OnnxRuntimeEngine.run

    def failing_run(self: OnnxRuntimeEngine, inputs: dict[str, Any]) -> Any:
        raise EngineError("no power")

    with VisionEncoder(bundle, threads=1) as encoder:
        monkeypatch.setattr(OnnxRuntimeEngine, "run", failing_run)
        with pytest.raises(EngineError, match="no power"):
            encoder.encode(noise((336, 224)))
        monkeypatch.setattr(OnnxRuntimeEngine, "run", run)
        assert encoder.encode(noise((336, 224))).encoded_views == 7


def test_asking_again_about_an_image_does_not_encode_it_again(batches: list[int]) -> None:
    picture = Image.fromarray(noise((500, 400)))
    with Assistant(threads=1) as assistant, Assistant(threads=1, cache_bytes=0) as forgetful:
        for asked in (assistant, forgetful):
            batches.clear()
            answers = [asked.ask(picture, "What is labelled FEC?", max_tokens=4).text for _ in range(2)]
            assert answers[0] == answers[1]
            assert len(batches) == (1 if asked is assistant else 2)
