"""Images as arguments: files, videos, `-`, and FILE@4x or FILE@16x for a mode of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.conversation.encoded_images import QuestionImage
    from uhd_edge.runtime.images.video import MediaInput
    from uhd_edge.runtime.modes import Mode


def split_mode(argument: str) -> tuple[str, Mode | None]:
    """Split FILE@4x or FILE@16x into the file and its own mode; a file that has such a name counts as a file."""
    file, at, end = argument.rpartition("@")
    if at and file and end in ("16x", "4x") and not os.path.lexists(argument):
        return file, cast("Mode", end)
    return argument, None


def with_own_mode(argument: str, decode: Callable[[str], MediaInput] = lambda file: file) -> QuestionImage:
    """Return what `Assistant.ask` takes for FILE, FILE@4x or FILE@16x; `decode` makes an image of the file's name."""
    file, mode = split_mode(argument)
    return decode(file) if mode is None else (decode(file), mode)


def own_modes(images: Sequence[str], bundle: Bundle) -> set[Mode]:
    """The modes that images have of their own; raises `EngineUnavailableError` for one that `bundle` does not have."""
    from uhd_edge.runtime.errors import EngineUnavailableError

    own: set[Mode] = set()
    for argument in images:
        _, mode = split_mode(argument)
        if mode is None:
            continue
        if mode not in bundle.manifest.graphs:
            raise EngineUnavailableError(
                f"{argument}: {bundle.path} has no {mode} graphs for it; the bundle has {bundle.describe_graphs()}"
            )
        own.add(mode)
    return own


def check_images(images: Sequence[str]) -> None:
    """Raise `ImageError` for a path that is missing or no image, before a model is opened and a machine measured.

    Videos are only looked up, and `-` is left to its reader.
    """
    from uhd_edge.runtime.errors import VideoError
    from uhd_edge.runtime.images.input_file import check_file
    from uhd_edge.runtime.images.loading import check_image
    from uhd_edge.runtime.images.video import is_video

    for image in (split_mode(argument)[0] for argument in images):
        if is_video(image):
            check_file(image, kind="video", error_class=VideoError)
        elif image != "-":
            check_image(image)
