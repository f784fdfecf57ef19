"""Images and videos of a request are fetched, decoded and counted, within limits."""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from PIL import Image

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.data_uri import is_data_uri
from uhd_edge.runtime.images.frame_stacks import FRAME_PIXELS
from uhd_edge.runtime.images.limited_image import LimitedImage
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.images.video import MAX_FRAMES, Video, decode_video
from uhd_edge.runtime.images.video_decoding import Allowance
from uhd_edge.server.errors import ApiError
from uhd_edge.server.media.data import LEAST_BASE64, as_data_uri, decode_media
from uhd_edge.server.media.remote_images import fetch_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from uhd_edge.server.media.parts import MediaPart
    from uhd_edge.server.media.threads import InThread, MediaThreads
    from uhd_edge.server.options import ServerOptions

REMOTE_SECONDS = 10.0
MOST_REMOTE = MAX_FRAMES  # files that are fetched for a request
# How many times the pixels that may be kept of a request may be decoded for its videos, most of whose frames are
# not kept. With the default of 25 megapixels that is 10 gigapixels: 2.5 minutes of 1080p at 30 frames a second.
DECODED_PER_KEPT = 400

Loaded = Image.Image | LimitedImage | Video


async def load_media(parts: Sequence[MediaPart], options: ServerOptions, threads: MediaThreads) -> list[Loaded]:
    """Load what `decode_all` decodes, in one of the `threads`; files are fetched in others.

    Pictures do not wait for the videos of other requests, which may take minutes. When the caller is
    cancelled, decoding ends at the next frame or image, so that the thread is free for others.
    """
    if not parts:
        return []  # who has none does not wait for who has
    over = threading.Event()
    allowance = Allowance(DECODED_PER_KEPT * options.max_pixels, stopped=over.is_set)
    try:
        _require_few_remote(parts)
        source = _Source(options, threads.reader)
        files = [await _files(part, source) for part in parts]
        decode = partial(decode_all, parts, files, max_pixels=options.max_pixels, allowance=allowance)
        has_videos = any(part.kind == "video" for part in parts)
        return await (threads.videos if has_videos else threads.pictures)(decode)
    finally:
        over.set()


def decode_all(
    parts: Sequence[MediaPart], files: Sequence[Sequence[bytes]], *, max_pixels: int, allowance: Allowance
) -> list[Loaded]:
    """Decode images and videos; raises `ApiError` 400 for an invalid one, or over `max_pixels` in all.

    The number of an image's pixels is read from the header, before anything is decoded. Of a video as
    many frames are taken as there is room for, each counted with a megapixel, and all videos together
    may not take more decoding than the `allowance`.
    """
    loaded: list[Loaded] = []
    most = max_pixels
    for part, data in zip(parts, files, strict=True):
        with _placed(part, most, before=most - max_pixels):
            one, pixels = _decode(part, data, max_pixels, allowance)
        loaded.append(one)
        max_pixels -= pixels
    return loaded


async def _files(part: MediaPart, source: _Source) -> list[bytes]:
    files = []
    for number in part.places:
        with _placed(part if part.kind != "frames" else replace(part, place=f"{part.place}.{number}")):
            files.append(await source.file(part.urls[number], part))
    return files


@contextmanager
def _placed(part: MediaPart, most: int = 0, *, before: int = 0) -> Iterator[None]:
    """Say of which of several images or videos an error is; see `_told` for the pixels."""
    try:
        yield
    except ImageError as error:
        told = f"{part.place}: {_told(error, most, before=before)}"
        raise ApiError(400, told, param=part.place, code=part.code) from error
    except ApiError as error:
        raise ApiError(error.status, f"{part.place}: {error}", param=part.place, code=error.code) from error


def _told(error: ImageError, most: int, *, before: int) -> str:
    """Say what may be done where an image or a frame is too large; there may be images `before` it in the request."""
    told = str(error).replace(" in bytes: ", ": ")  # what it is called where there is no place
    if not error.over_limit:
        return told
    if not before:
        return f"{told} (the server's --max-pixels sets the limit of a request)"
    return f"{told} ({before} of the {most} pixels of a request, the server's --max-pixels, come before it)"


def most_frames(max_pixels: int) -> int:
    """Return how many frames of a video there is room for beside other images; each is counted with a megapixel."""
    return min(max_pixels // FRAME_PIXELS, MAX_FRAMES)


def count_places(loaded: Loaded) -> int:
    """Return how many places an image or a video has in a prompt: a video has one for each frame."""
    return len(cast("Sequence[object]", loaded.source)) if isinstance(loaded, Video) else 1


def _decode(part: MediaPart, files: Sequence[bytes], max_pixels: int, allowance: Allowance) -> tuple[Loaded, int]:
    """Decode one, and count its pixels."""
    allowance.require_wanted()
    if part.kind != "image":
        frames = _frames(part, files, max_pixels, allowance)
        return Video(frames), sum(frame.width * frame.height for frame in frames)
    picture = load_image(files[0], max_pixels=max_pixels)
    pixels = picture.width * picture.height
    picture = _within(picture, part.min_pixels or 1, part.max_pixels or max_pixels, largest=max_pixels)
    pixels = max(pixels, picture.width * picture.height)
    return (LimitedImage(picture) if part.detail == "low" else picture), pixels


def _frames(part: MediaPart, files: Sequence[bytes], max_pixels: int, allowance: Allowance) -> list[Image.Image]:
    if part.kind == "frames":
        frames = []
        for number, file in zip(part.places, files, strict=True):
            allowance.require_wanted()
            try:
                frames.append(load_image(file, max_pixels=max_pixels))
            except ImageError as error:
                raise ImageError(f"frame {number} of a video: {error}", over_limit=error.over_limit) from error
            max_pixels -= frames[-1].width * frames[-1].height
        return frames
    most = min(most_frames(max_pixels), part.max_frames or MAX_FRAMES)
    if most < 1:
        raise ImageError(
            f"a video needs {FRAME_PIXELS} pixels for a frame, and the limit leaves {max_pixels}; send less beside it"
        )
    return decode_video(
        files[0], max_frames=most, per_second=part.fps or 1.0, max_pixels=max_pixels, allowance=allowance
    )


def _within(picture: Image.Image, least: int, most: int, *, largest: int) -> Image.Image:
    """Scale a picture to a number of pixels from `least` to `most`, but to no more than `largest`."""
    pixels = picture.width * picture.height
    wanted = min(max(pixels, min(least, largest)), most)
    if wanted == pixels:
        return picture
    scale = math.sqrt(wanted / pixels)
    size = max(1, int(picture.width * scale)), max(1, int(picture.height * scale))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _require_few_remote(parts: Sequence[MediaPart]) -> None:
    """Raise `ApiError` 400 if a request names more files elsewhere than are fetched for it."""
    urls = (part.urls[place][:64].lstrip().lower() for part in parts for place in part.places)
    count = sum(url.startswith(("http:", "https:")) for url in urls)
    if count > MOST_REMOTE:
        message = f"{count} images and videos would have to be fetched; the most are {MOST_REMOTE}, so send fewer URLs"
        raise ApiError(400, message, param="messages", code="too_many_urls")


class _Source:
    """Gets the files of one request; what it fetches may have as many bytes together as a body."""

    def __init__(self, options: ServerOptions, in_reader: InThread) -> None:
        self._options = options
        self._in_reader = in_reader
        self._bytes = 0

    async def file(self, url: str, part: MediaPart) -> bytes:
        """Return the bytes of a file of `part`; raises `ApiError` 400 for one that cannot be had."""
        plain = await self._in_reader(as_data_uri, url)
        if not self._options.strict:
            url = plain
        if is_data_uri(url):
            return await self._in_reader(decode_media, url, part)
        example = f"data:{'video/mp4' if part.kind == 'video' else 'image/png'};base64,"
        if is_data_uri(plain):
            message = f"the {part.noun} must begin with {example} (--strict takes no bare base64)"
            raise ApiError(400, message, param="messages", code=f"{part.code}_url")
        if not self._options.allow_remote_images:
            least = f" of at least {LEAST_BASE64} characters" if len(url) < LEAST_BASE64 else ""
            bare = "" if self._options.strict else f" or base64{least}"
            message = f"the {part.noun} must be a data URI ({example}..){bare}; this server does not fetch {part.noun}s"
            raise ApiError(400, message, param="messages", code=f"{part.code}_url")
        return await self._fetched(url, part)

    async def _fetched(self, url: str, part: MediaPart) -> bytes:
        fetch = partial(fetch_file, noun=part.noun, most_bytes=self._options.max_body, seconds=REMOTE_SECONDS)
        data = await asyncio.to_thread(fetch, url, bytes_before=self._bytes)
        self._bytes += len(data)
        return data
