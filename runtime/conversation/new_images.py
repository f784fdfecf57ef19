"""The images and videos of a question are decoded; a video becomes one image per sampled frame."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.conversation.turns import NewImage
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.images.video import Video, is_video

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from uhd_edge.runtime.conversation.request import Request
    from uhd_edge.runtime.images.video import MediaInput

_videos = itertools.count()


def decode_images(sources: Sequence[MediaInput]) -> list[NewImage]:
    """Decode images and videos; a video is a `Video`, or a path with a video's suffix.

    Raises `ImageError` (`VideoError` for a video), and `MissingExtraError` for a video where
    PyAV is not installed.
    """
    return [image for source in sources for image in _decode_source(source)]


def one_view_per_frame(request: Request, images: Sequence[NewImage]) -> Request:
    """Use one view per image when there is a video, as the model card of MiniCPM-V 4.6 recommends."""
    if all(image.video is None for image in images):
        return request
    return replace(request, max_slices=1)


def _decode_source(source: MediaInput) -> Iterator[NewImage]:
    video = Video(source) if is_video(source) else source
    if isinstance(video, Video):
        number = next(_videos)
        yield from (NewImage(frame, number) for frame in video.frames())
    else:
        yield NewImage(load_image(video))
