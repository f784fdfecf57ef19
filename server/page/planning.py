"""How a picture or a video that a browser holds would be cut, and what it would cost, from its size alone."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final, get_args

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.frame_stacks import FRAME_PIXELS, sample_times
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.prompt.room import image_layout
from uhd_edge.runtime.vision.slicing import plan_views
from uhd_edge.server.errors import ApiError, shown
from uhd_edge.server.media.loading import most_frames

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.server.model_facts import ModelFacts

# What `plan_media` reads of an address.
PARAMETERS: Final = ("width", "height", "mode", "max_slices", "seconds", "before")

_LARGEST_SIDE = 100_000
_MOST_PIXELS = 10**12
_MOST_SLICES = 10_000
_MOST_SECONDS = 10**9
# As JSON and JavaScript write numbers; Python would read more.
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")


def plan_media(manifest: Manifest, model: ModelFacts, given: Mapping[str, str], *, max_pixels: int) -> dict[str, Any]:
    """Return how a picture of `width` x `height` pixels is cut: its grid, and the tokens of every view.

    `mode` and `max_slices` may be given too; otherwise they are those that the server was started with. The thumbnail
    is the first view, the slices follow row by row. With `seconds`, the length of a video or "unknown", it is a video
    of such frames: `frames` is how many of them are looked at, at most, and `views` has the view of one. `before` are
    the pixels of what stands before it in the request, which takes room of `max_pixels` from it.

    Raises `ApiError` for what is no number, for a video that there is no room for, and for a picture that is too thin.
    """
    width, height = (_whole(name, given, 1, _LARGEST_SIDE) for name in ("width", "height"))
    most = _whole("max_slices", given, 1, _MOST_SLICES) if given.get("max_slices") else model.max_slices
    mode = given.get("mode") or model.mode
    if mode not in get_args(Mode) or mode not in manifest.graphs:
        raise ApiError(400, f"mode is {shown(mode)}; it must be one of {', '.join(manifest.graphs)}", param="mode")
    frames = _frames(given, max_pixels) if "seconds" in given else None
    if frames is not None:
        (width, height), most = _frame_size(width, height), 1
    try:
        plan = plan_views(width, height, manifest.preprocessing, mode=mode, max_slices=most)
    except ImageError as error:
        side = "width" if width < height else "height"
        raise ApiError(400, f"{side}: {error}", param=side) from error
    tokens = image_layout(plan, manifest.vision).tokens
    views = [{"rows": rows, "columns": columns} for rows, columns in plan.views]
    return {
        "mode": mode,
        "grid": {"rows": plan.grid[0], "columns": plan.grid[1]},
        "views": [{**view, "tokens": count} for view, count in zip(views, tokens, strict=True)],
        "tokens": sum(tokens) * (frames or 1),
        **({} if frames is None else {"frames": frames}),
    }


def _frames(given: Mapping[str, str], max_pixels: int) -> int:
    """Return how many frames of a video are looked at; it may be fewer, where some of them are the same."""
    seconds = None if given["seconds"] == "unknown" else _seconds(given["seconds"])
    taken = _whole("before", given, 0, _MOST_PIXELS) if "before" in given else 0
    most = most_frames(max_pixels - taken)
    if most < 1:
        needed = f"a frame of a video needs {FRAME_PIXELS} pixels"
        limit = f"this server takes {max_pixels} in a request (--max-pixels)"
        if max_pixels < FRAME_PIXELS:
            raise ApiError(400, f"{needed}, and {limit}", param="seconds")
        raise ApiError(400, f"{needed}, and before is {taken}; {limit}, so send less before it", param="before")
    return most if seconds is None else len(sample_times(seconds, most))


def _frame_size(width: int, height: int) -> tuple[int, int]:
    """Return the size at which a frame is looked at: a large one is made smaller."""
    scale = min(1.0, math.sqrt(FRAME_PIXELS / (width * height)))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _whole(name: str, given: Mapping[str, str], lowest: int, highest: int) -> int:
    """Read a number of an address, which may be any text; Python itself refuses one of thousands of digits."""
    text = given.get(name)
    is_number = text is not None and text.isascii() and text.isdecimal() and len(text) <= len(str(highest))
    if text is None or not is_number or not lowest <= int(text) <= highest:
        told = "missing" if text is None else shown(text)
        raise ApiError(400, f"{name} is {told}; it must be a whole number from {lowest} to {highest}", param=name)
    return int(text)


def _seconds(text: str) -> float:
    seconds = float(text) if _NUMBER.fullmatch(text) else 0.0
    if not 0 < seconds <= _MOST_SECONDS:
        told = f"seconds is {shown(text)}; it must be a number above 0 and up to {_MOST_SECONDS}, or unknown"
        raise ApiError(400, told, param="seconds")
    return seconds
