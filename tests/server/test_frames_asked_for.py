"""How many frames of a video are looked at, in the words of clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from uhd_edge.server.errors import ApiError
from uhd_edge.server.model_facts import ModelFacts
from uhd_edge.server.openai.chat import ChatCompletions

if TYPE_CHECKING:
    from uhd_edge.server.dialect import Asked

MODEL = ModelFacts("uhd-tiny", ("16x", "4x"), "16x", 9, 4096, thinks=False, calls=False)
URI = "data:video/mp4;base64,AAAA"


def read(part: dict[str, Any], **parameters: Any) -> Asked:
    messages = [{"role": "user", "content": [part, "What?"]}]
    body = {"model": "uhd-tiny", "messages": messages, **parameters}
    return ChatCompletions(MODEL).read(json.dumps(body).encode())[0]


@pytest.mark.parametrize(
    ("own", "parameters", "looked_at"),
    [
        ({"fps": 0.5, "nframes": 3.0, "mode": "4x"}, {}, (3, 0.5, "4x")),
        ({"max_frames": 4}, {"mm_processor_kwargs": {"fps": 2, "max_num_frames": 1}}, (4, 2, None)),
        ({}, {"mm_processor_kwargs": {"num_frames": 5}}, (5, None, None)),
        ({}, {"fps": 2, "max_frames": 6}, (6, 2, None)),
        ({}, {"media_io_kwargs": {"video": {"num_frames": 5, "fps": 2.0}}}, (5, 2, None)),
        ({"fps": 3}, {"nframes": 6, "media_io_kwargs": {"video": {"fps": 2.0}}}, (6, 3, None)),
    ],
)
def test_a_video_says_how_many_of_its_frames_are_looked_at(
    own: dict[str, Any], parameters: dict[str, Any], looked_at: tuple[Any, ...]
) -> None:
    for video in ({"video_url": {"url": URI}, **own}, {"video_url": {"url": URI, **own}}):
        question = read({"type": "video_url", **video}, **parameters)
        (media,) = question.media
        assert (media.max_frames, media.fps, media.mode) == looked_at
        assert question.ignored == ()


def test_what_is_asked_for_all_videos_may_stand_in_several_places() -> None:
    both = {"mm_processor_kwargs": {"fps": 2, "num_frames": 3}, "media_io_kwargs": {"video": {"fps": 2.0, "x": 1}}}
    question = read({"type": "video_url", "video_url": {"url": URI}}, fps=2, **both)
    (media,) = question.media
    assert (media.max_frames, media.fps) == (3, 2)
    assert question.ignored == ("media_io_kwargs.video.x",)
    image = {"media_io_kwargs": {"image": {"image_mode": "L"}, "video": {"fps": 1}}}
    frames = read({"type": "video", "video": [URI]}, **image)
    assert frames.ignored == ("media_io_kwargs.image", "media_io_kwargs.video.fps")
    assert read({"type": "video", "video": [URI]}, max_frames=-1, nframes=-1).ignored == ("max_frames",)


WRONG: list[dict[str, Any]] = [
    *({"fps": fps} for fps in (0, -1, "many", "2", True, [], {}, 1000)),
    *({name: most} for name in ("max_frames", "nframes") for most in (0, 1.5, "zz", "4", True, [], -2)),
]


@pytest.mark.parametrize("own", WRONG)
def test_a_senseless_number_of_frames_is_refused(own: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match="messages"):
        read({"type": "video_url", "video_url": {"url": URI}, **own})


SIZES: list[dict[str, Any]] = [{name: wrong} for name in ("min_pixels", "max_pixels") for wrong in ("zz", 0, 1.5, [])]


@pytest.mark.parametrize("wrong", [*WRONG, *SIZES, {"mode": "zz"}, {"mode": 4}, {"max_slices": "zz"}])
@pytest.mark.parametrize("place", ["", "mm_processor_kwargs", "media_io_kwargs.video"])
def test_a_senseless_wish_about_media_is_refused_where_there_are_none(wrong: dict[str, Any], place: str) -> None:
    ((name, value),) = wrong.items()
    if place:
        name = {"mode": "downsample_mode", "max_slices": "max_slice_nums"}.get(name, name)
        wrong = {name: value}
    if place == "media_io_kwargs.video" and name in ("downsample_mode", "max_slice_nums"):
        return  # which nobody has there
    above, _, within = place.partition(".")
    body = {above: {within: wrong} if within else wrong} if place else wrong
    with pytest.raises(ApiError) as refused:
        read({"type": "text", "text": "What?"}, **body)
    assert refused.value.param == (f"{place}.{name}" if place else name)


@pytest.mark.parametrize("wrong", ["zz", 5, True, [1]])
@pytest.mark.parametrize("place", ["mm_processor_kwargs", "media_io_kwargs", "media_io_kwargs.video", "reasoning"])
def test_what_has_to_be_an_object_is_refused_otherwise(wrong: Any, place: str) -> None:
    above, _, within = place.partition(".")
    with pytest.raises(ApiError, match=rf"^{place} is .*; it must be an object$") as refused:
        read({"type": "text", "text": "What?"}, **{above: {within: wrong} if within else wrong})
    assert refused.value.param == place
