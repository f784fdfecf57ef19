"""Images and videos where nobody looks: a request that has one is refused, as its answer would be about nothing."""

from __future__ import annotations

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
# How they begin: as data URIs, and as bare base64 of PNG, JPEG, GIF and WebP.
_BEGINNINGS: Final = ("data:image/", "data:video/", "iVBORw0KGgo", "/9j/", "_9j_", "R0lGOD", "UklGR")


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

    One is known by how it begins, or by its name.
    """
    *_, name = place.rpartition(".")
    left: list[tuple[Any, Any]] = [((None, place), given)]
    if name in _NAMES and _is_picture(given):
        raise _unseen(left[0][0])
    while left:
        at, one = left.pop()
        if isinstance(one, str) and len(one) >= LEAST_BASE64 and one.startswith(_BEGINNINGS):
            raise _unseen(at)
        inner = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        for step, value in inner:
            if step in _NAMES and _is_picture(value):
                raise _unseen((at, step))
            left.append(((at, step), value))


def _is_picture(given: Any) -> bool:
    """Whether a value with the name of pictures may be some: a text, or what has a text in it."""
    ones = given if isinstance(given, list) else [given]
    within = [value for one in ones if isinstance(one, dict) for value in (one.get(name) for name in _WRAPPED)]
    return any(isinstance(one, str) and one for one in (*ones, *within))


def _unseen(at: Any) -> ApiError:
    steps = []
    while at is not None:
        at, step = at
        steps.append(str(step))
    place = ".".join(reversed(steps))
    told = f"{place} is an image or a video where none is looked at; send it with a question of the user"
    return ApiError(400, told, param=place, code="unseen_media")
