"""Images and videos where nobody looks: a request that has one is refused, as its answer would be about nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from uhd_edge.runtime.images.data_uri import is_data_uri
from uhd_edge.runtime.prompt.messages import TextPart
from uhd_edge.server.errors import ApiError
from uhd_edge.server.media.data import BARE_PICTURE, LEAST_BASE64, as_data_uri, bare_as_data_uri

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from uhd_edge.server.dialect import Asked

# What images and videos are called, and what they may be wrapped in.
_NAMES: Final = frozenset(
    ("image", "images", "image_url", "input_image", "video", "videos", "video_url", "input_video", "frames")
)
_WRAPPED: Final = ("url", "data", "image_url", "image", "source")
# How their data begin: as data URIs, and as bare base64.
_DATA: Final = re.compile(rf"data:(image|video)/|{BARE_PICTURE.pattern}")
_ADDRESS: Final = re.compile(r"(https?|file)://")


# What of a body the model reads as it is.
_READ: Final = frozenset(("tools", "response_format", "guided_json", "structured_outputs", "format", "text"))


@dataclass(frozen=True)
class Seen:
    """What is looked at: URLs of images and videos, or their base64. The same once more is not lost where it is."""

    urls: frozenset[str] = frozenset()

    def has(self, given: str) -> bool:
        """Whether an image or a video is one of these, byte by byte, however its base64 is written."""
        return given in self.urls or bare_as_data_uri(given) in self.urls or _bytes_of(given) in self._bytes

    @cached_property
    def _bytes(self) -> frozenset[str]:
        return frozenset(map(_bytes_of, self.urls))


NOTHING: Final = Seen()


def leave_out(given: Mapping[str, Any], ignored: list[str], seen: Seen = NOTHING) -> None:
    """Add to `ignored` the places of values that count for nothing; raises `ApiError` 400 for one with a picture."""
    for place, value in given.items():
        refuse_unseen(place, value, seen)
        ignored.append(place)


def leave_out_others(
    place: str, given: Mapping[str, Any], known: Collection[str], ignored: list[str], seen: Seen = NOTHING
) -> None:
    """Leave out what an object at a place has beside what is known; null is nothing."""
    others = {f"{place}.{name}": value for name, value in given.items() if name not in known and value is not None}
    leave_out(others, ignored, seen)


def refuse_unseen(place: str, given: Any, seen: Seen = NOTHING) -> None:
    """Raise `ApiError` 400 if a value that is not looked at has an image or a video in it, and name its place.

    Its data are known by how they begin, wherever they are. A URL counts where the value itself is called a picture:
    one further within, such as the icon of a page that an answer cites, asks about nothing. What is `seen` elsewhere
    is no loss.
    """
    *_, name = place.rpartition(".")
    if name in _NAMES and not all(map(seen.has, _addresses(given))):
        raise _unseen((None, place))
    for at, data in _data_in(place, given):
        if not seen.has(data):
            raise _unseen(at)


def require_all_seen(given: Mapping[str, Any], asked: Asked) -> None:
    """Raise `ApiError` 400 if a body has an image or a video that is neither looked at nor read, and name its place.

    Whatever became of a body on the way to what is `asked`, nothing in it is lost without a word.
    """
    seen = Seen(frozenset(url for part in asked.media for url in part.urls))
    found = [one for name in given if name not in _READ for one in _data_in(name, given[name])]
    if unseen := [(at, data) for at, data in found if not seen.has(data)]:
        texts = frozenset(_texts(asked))
        if at := next((at for at, data in unseen if data not in texts), None):
            raise _unseen(at)


def _texts(asked: Asked) -> Iterator[str]:
    """Yield the texts of a conversation."""
    for message in asked.messages:
        yield from (part.text for part in message.parts if isinstance(part, TextPart))
        yield message.thinking
        values = (value for call in message.tool_calls for value in call.arguments.values())
        yield from (value for value in values if isinstance(value, str))


def _data_in(place: str, given: Any) -> Iterator[tuple[Any, str]]:
    """Yield the data of images and videos in a value, each with the steps to it."""
    left: list[tuple[Any, Any]] = [((None, place), given)]
    while left:
        at, one = left.pop()
        if isinstance(one, str) and len(one) >= LEAST_BASE64 and _DATA.match(one):
            yield at, one
        inner = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        left += [((at, step), value) for step, value in inner]


def _addresses(given: Any) -> Iterator[str]:
    """Yield what is a URL of a value with the name of pictures, or in what URLs are wrapped in."""
    ones = given if isinstance(given, list) else [given]
    within = [value for one in ones if isinstance(one, dict) for value in (one.get(name) for name in _WRAPPED)]
    yield from (one for one in (*ones, *within) if isinstance(one, str) and _ADDRESS.match(one))


def _bytes_of(url: str) -> str:
    """Return the base64 of an image or a video, written as everywhere, or its URL elsewhere."""
    uri = as_data_uri(url)
    return uri.partition(",")[2] if is_data_uri(uri) else uri


def _unseen(at: Any) -> ApiError:
    steps = []
    while at is not None:
        at, step = at
        steps.append(str(step))
    place = ".".join(reversed(steps))
    told = f"{place} is an image or a video where none is looked at; send it with a question of the user"
    return ApiError(400, told, param=place, code="unseen_media")
