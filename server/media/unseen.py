"""Images and videos where nobody looks: a request that has one is refused, as its answer would be about nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from uhd_edge.server.errors import ApiError
from uhd_edge.server.media.data import LEAST_BASE64

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# What images and videos are called, and what they may be wrapped in.
_NAMES: Final = frozenset(
    ("image", "images", "image_url", "input_image", "video", "videos", "video_url", "input_video", "frames")
)
_WRAPPED: Final = ("url", "data", "image_url", "image", "source")
# How their data begin: as data URIs, and as bare base64 of PNG, JPEG, GIF and WebP, which is a RIFF as sounds are.
_DATA: Final = re.compile(r"data:(image|video)/|iVBORw0KGgo|[/_]9j[/_]|R0lGOD|UklGR.{6}XRUJQ")
_ADDRESS: Final = re.compile(r"(https?|file)://")


def leave_out(given: Mapping[str, Any], ignored: list[str]) -> None:
    """Add to `ignored` the places of values that count for nothing; raises `ApiError` 400 for one with a picture."""
    for place, value in given.items():
        refuse_unseen(place, value)
        ignored.append(place)


def leave_out_others(place: str, given: Mapping[str, Any], known: Collection[str], ignored: list[str]) -> None:
    """Leave out what an object at a place has beside what is known; null is nothing."""
    others = {f"{place}.{name}": value for name, value in given.items() if name not in known and value is not None}
    leave_out(others, ignored)


def refuse_unseen(place: str, given: Any) -> None:
    """Raise `ApiError` 400 if a value that is not looked at has an image or a video in it, and name its place.

    Its data are known by how they begin, wherever they are. A URL counts where the value itself is called a picture:
    one further within, such as the icon of a page that an answer cites, asks about nothing.
    """
    *_, name = place.rpartition(".")
    left: list[tuple[Any, Any]] = [((None, place), given)]
    if name in _NAMES and _has_address(given):
        raise _unseen(left[0][0])
    while left:
        at, one = left.pop()
        if isinstance(one, str) and len(one) >= LEAST_BASE64 and _DATA.match(one):
            raise _unseen(at)
        inner = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        left += [((at, step), value) for step, value in inner]


def _has_address(given: Any) -> bool:
    """Whether a value with the name of pictures is a URL, or has one in what URLs are wrapped in."""
    ones = given if isinstance(given, list) else [given]
    within = [value for one in ones if isinstance(one, dict) for value in (one.get(name) for name in _WRAPPED)]
    return any(isinstance(one, str) and _ADDRESS.match(one) for one in (*ones, *within))


def _unseen(at: Any) -> ApiError:
    steps = []
    while at is not None:
        at, step = at
        steps.append(str(step))
    place = ".".join(reversed(steps))
    told = f"{place} is an image or a video where none is looked at; send it with a question of the user"
    return ApiError(400, told, param=place, code="unseen_media")
