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


@pytest.mark.parametrize("own", [{"fps": 0}, {"fps": -1}, {"fps": "many"}, {"nframes": 0}, {"nframes": 1.5}])
def test_a_senseless_number_of_frames_is_refused(own: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match="messages"):
        read({"type": "video_url", "video_url": {"url": URI}, **own})
