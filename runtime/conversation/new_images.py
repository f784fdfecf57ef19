"""The images and videos of a question are decoded; a video becomes one image per sampled frame."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from uhd_edge.runtime.conversation.encoded_images import own_encoded
from uhd_edge.runtime.conversation.turns import NewImage
from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.images.limited_image import LimitedImage
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.images.video import Video, is_video
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.validation import HIGHEST_COUNT, require_whole
from uhd_edge.runtime.vision.encoder import Encoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.encoded_images import QuestionImage
    from uhd_edge.runtime.conversation.request import Request
    from uhd_edge.runtime.images.video import MediaInput

_videos = itertools.count()


def decode_images(sources: Sequence[QuestionImage], manifest: Manifest) -> list[NewImage]:
    """Decode images and videos, and check images that were encoded before.

    A video is a `Video`, or a path with the suffix of one. Raises `ImageError` (`VideoError` for a
    video), `OptionError` for an image's own mode that is none of the bundle's, and
    `MissingExtraError` for a video where PyAV is not installed.
    """
    return [image for source in sources for image in _decode_source(source, manifest)]


def one_view_per_frame(request: Request, images: Sequence[NewImage]) -> Request:
    """Use one view per image when there is a video, as the model card of MiniCPM-V 4.6 recommends."""
    if all(image.video is None for image in images):
        return request
    return replace(request, max_slices=1)


def _decode_source(source: QuestionImage, manifest: Manifest) -> Iterator[NewImage]:
    media, mode = _split_own_mode(source, manifest)
    if isinstance(media, Encoded):
        yield NewImage(own_encoded(media, manifest), mode=mode)
        return
    video = Video(media) if is_video(media) else media
    if isinstance(video, Video):
        number, stacked = next(_videos), video.stack_frames > 1
        yield from (NewImage(frame, number, mode, stacked) for frame in video.frames())
    elif isinstance(video, LimitedImage):
        most = require_whole("max_slices", video.max_slices, 1, HIGHEST_COUNT)
        yield NewImage(load_image(video.source), mode=mode, max_slices=most)
    else:
        yield NewImage(load_image(video), mode=mode)


def _split_own_mode(source: QuestionImage, manifest: Manifest) -> tuple[MediaInput | Encoded, Mode | None]:
    """Take a pair of an image and its mode apart; raises `OptionError` for a mode that is none of the bundle's."""
    if not isinstance(source, tuple | list):
        return source, None
    modes = [mode for mode in get_args(Mode) if mode in manifest.graphs]
    wanted = f"an image with a mode of its own is (image, mode), with {' or '.join(modes)}"
    if isinstance(source, list):
        raise OptionError(f"{wanted}, and a tuple; among the images there is a list of {len(source)}")
    if len(source) != 2 or source[1] not in modes:
        raise OptionError(f"{wanted}, not {source[1] if len(source) == 2 else source!r}")
    return source
