"""The images and videos of a question are decoded; a video becomes one image per sampled frame."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.conversation.encoded_images import own_encoded
from uhd_edge.runtime.conversation.turns import NewImage
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.images.video import Video, is_video
from uhd_edge.runtime.vision.encoder import Encoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.encoded_images import QuestionImage
    from uhd_edge.runtime.conversation.request import Request

_videos = itertools.count()


def decode_images(sources: Sequence[QuestionImage], manifest: Manifest) -> list[NewImage]:
    """Decode images and videos, and check images that were encoded before.

    A video is a `Video`, or a path with the suffix of one. Raises `ImageError` (`VideoError` for a
    video), and `MissingExtraError` for a video where PyAV is not installed.
    """
    return [image for source in sources for image in _decode_source(source, manifest)]


def one_view_per_frame(request: Request, images: Sequence[NewImage]) -> Request:
    """Use one view per image when there is a video, as the model card of MiniCPM-V 4.6 recommends."""
    if all(image.video is None for image in images):
        return request
    return replace(request, max_slices=1)


def _decode_source(source: QuestionImage, manifest: Manifest) -> Iterator[NewImage]:
    if isinstance(source, Encoded):
        yield NewImage(own_encoded(source, manifest))
        return
    video = Video(source) if is_video(source) else source
    if isinstance(video, Video):
        number = next(_videos)
        yield from (NewImage(frame, number) for frame in video.frames())
    else:
        yield NewImage(load_image(video))
