"""Parts of messages as clients send them become the texts, images and videos that this server knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from uhd_edge.server.errors import ApiError, wrong_type
from uhd_edge.server.media.files import FILES, open_file
from uhd_edge.server.media.unseen import leave_out, refuse_unseen
from uhd_edge.server.openai.same_meaning import FRAMES, require_agreement, same
from uhd_edge.server.openai.sent_names import called

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from uhd_edge.server.openai.same_meaning import Meaning

# What stands in parts beside the text or the picture, and says nothing to the model.
_QUIET: Final = frozenset(
    (
        *("annotations", "cache_control", "filename", "format", "id", "index", "logprobs", "media_type"),
        *("prompt_cache_breakpoint", "status", "type", "uuid"),
    )
)
_TEXTS: Final = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_IMAGES: Final = ("image_url", "input_image", "image")
_VIDEOS: Final = ("video_url", "input_video", "video")
_KINDS: Final = (("text", "refusal"), _IMAGES, _VIDEOS)
_THOUGHTS: Final = ("thinking", "redacted_thinking", "reasoning")
_UNSUPPORTED: Final = ("input_audio", "audio_url", "document")
# Where an image or a video may stand in its part, a URL or base64 within that, and what may be beside it.
_OF_IMAGES: Final = (*_IMAGES, "source", "url", "data")
_OF_VIDEOS: Final = (*_VIDEOS, "frames", "source", "url", "data")
_WRAPPED: Final = ("url", "data", "image_url", "image", "file_data")
_WISHES_OF_IMAGES: Final = ("detail", "min_pixels", "max_pixels", "mode")
_WISHES_OF_VIDEOS: Final = ("fps", "mode")
_DETAILS: Final = ("auto", "low", "high", "original")

# A value of a part with its name, and where it stands in the part.
_Said = tuple[str, Any, str]


@dataclass(frozen=True)
class PartPlace:
    """Where a part will stand in its message, and where the client `sent` it.

    What is left out of it goes to `ignored`, and what its values were called to `names`, see `SentNames`.
    """

    place: str
    sent: str
    ignored: list[str]
    names: dict[str, str]

    def call(self, within: str, sent: str) -> None:
        """Remember where a value of the part was sent, unless that follows from what it stands in."""
        place = f"{self.place}.{within}"
        if called(place, self.names) != sent:
            self.names[place] = sent

    def leave_out(self, said: Sequence[_Said]) -> None:
        """Name what is not known, but for what says nothing to the model; raises `ApiError` 400 for pictures."""
        for name, value, where in said:
            if name in _QUIET:
                refuse_unseen(f"{self.sent}.{where}", value)
            elif value is not None:
                leave_out({f"{self.sent}.{where}": value}, self.ignored)


def tidy_part(part: Any, at: PartPlace) -> Any:
    """Return a part in this server's form, None for one that says nothing to the model.

    Raises `ApiError` 400 for one that is not supported, and for one that has two texts, images or videos.
    """
    if at.place != at.sent:
        at.names[at.place] = at.sent
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        return part
    part = {name: value for name, value in part.items() if value is not None}
    if not isinstance(part.get("type", ""), str):
        raise wrong_type(f"{at.sent}.type", part["type"], "text")
    kind = part.get("type") or next((name for name in ("text", *_IMAGES, *_VIDEOS) if name in part), None)
    if kind in _THOUGHTS:
        refuse_unseen(at.sent, part)
        at.ignored.append(f"{at.sent}.{kind if kind in part else 'type'}")
        return None
    return part if kind is None else _known_part(kind, part, at)


def _known_part(kind: str, part: dict[str, Any], at: PartPlace) -> dict[str, Any]:
    if kind in _UNSUPPORTED:
        message = f"{at.sent}: a part of the type {kind} is not supported; send text, images or videos"
        raise ApiError(400, message, param=at.sent, code="unsupported_part")
    if kind in FILES:
        holder, what = open_file(part, at.sent)
        _require_one_kind(part, kind, (holder,), at.sent)
        if what == "image":
            return {"type": "image_url", "image_url": _image(part, holder, at, (holder,))}
        return {"type": "video_url", "video_url": _video(part, holder, at, (holder,))}
    own = next((names for names in _KINDS if kind in names or _TEXTS.get(kind) in names), None)
    if own is None:
        return part
    _require_one_kind(part, kind, own, at.sent)
    if own is _IMAGES:
        return {"type": "image_url", "image_url": _image(part, kind, at)}
    if own is _VIDEOS:
        return {"type": "video_url", "video_url": _video(part, kind, at)}
    name = _TEXTS[kind]
    at.leave_out([one for one in _said(part) if one[0] != name])
    at.call("text", f"{at.sent}.{name}")
    return {"type": "text", "text": part.get(name, "")}


def _require_one_kind(part: dict[str, Any], kind: str, own: tuple[str, ...], place: str) -> None:
    """Raise `ApiError` 400 for a part with what belongs into another one, which would be lost."""
    for others in _KINDS:
        other = next((name for name in others if part.get(name, "") != ""), None)
        if others != own and other is not None:
            message = f"{place}.{other} is in a part of the type {kind}; send each in a part of its own"
            raise ApiError(400, message, param=f"{place}.{other}", code="invalid_parameter_combination")


def _image(part: dict[str, Any], kind: str, at: PartPlace, places: tuple[str, ...] = _OF_IMAGES) -> dict[str, Any]:
    require_agreement(part, _meanings(places, _WISHES_OF_IMAGES), f"{at.sent}.")
    holder = next((name for name in places if name in part), kind)
    if holder not in part and "file_id" in part:
        message = f"{at.sent}.file_id is not supported; send the image itself"
        raise ApiError(400, message, param=f"{at.sent}.file_id")
    beside, within = _said(part), list(_within(part, places))
    at.leave_out([one for one in beside if one[0] not in (*places, *_WISHES_OF_IMAGES)])
    at.leave_out([one for one in within if one[0] not in (*_WRAPPED, *_WISHES_OF_IMAGES)])
    image, where = _wishes([*beside, *within], _WISHES_OF_IMAGES, "image_url", at)
    if isinstance(detail := image.get("detail"), str) and detail not in _DETAILS:
        at.leave_out([("detail", image.pop("detail"), where["detail"])])
    return _held(part.get(holder), holder, "image_url", at) | image


def _video(part: dict[str, Any], kind: str, at: PartPlace, places: tuple[str, ...] = _OF_VIDEOS) -> dict[str, Any]:
    require_agreement(part, _meanings(places, _WISHES_OF_VIDEOS), f"{at.sent}.")
    holder = next((name for name in places if name in part), kind)
    beside, within = _said(part), list(_within(part, places))
    known = (*FRAMES, *_WISHES_OF_VIDEOS)
    at.leave_out([one for one in beside if one[0] not in (*places, *known)])
    at.leave_out([one for one in within if one[0] not in (*_WRAPPED, "frames", *known)])
    unlimited = [one for one in (*beside, *within) if one[0] in FRAMES and one[1] == -1]  # as many as there are
    at.leave_out(unlimited)
    said = [one for one in (*beside, *within) if one not in unlimited]
    said = [("max_frames" if name in FRAMES else name, value, where) for name, value, where in said]
    video, _ = _wishes(said, (*_WISHES_OF_VIDEOS, "max_frames"), "video_url", at)
    frames, where = part.get(holder), holder
    if isinstance(frames, dict) and isinstance(frames.get("frames"), list):
        frames, where = frames["frames"], f"{holder}.frames"
    if not isinstance(frames, list):
        return _held(frames, holder, "video_url", at) | video
    at.call("video_url", f"{at.sent}.{holder}")
    at.call("video_url.frames", f"{at.sent}.{where}")
    return {"frames": [_frame(one, number, where, at) for number, one in enumerate(frames)], **video}


def _frame(given: Any, number: int, where: str, at: PartPlace) -> Any:
    """Return a URL or base64 of a frame."""
    url, place = _unwrapped(given, f"{where}.{number}", at)
    at.call(f"video_url.frames.{number}", f"{at.sent}.{place}")
    return url


def _held(given: Any, holder: str, form: str, at: PartPlace) -> dict[str, Any]:
    """Return the URL or base64 in the holder of a part, where what is wished for it may stand beside it."""
    at.call(form, f"{at.sent}.{holder}")
    if isinstance(given, dict):
        taken = _wrapper(given)
        given, holder = given.get(taken), f"{holder}.{taken}"
    url, where = _unwrapped(given, holder, at)
    at.call(f"{form}.url", f"{at.sent}.{where}")
    return {} if url is None else {"url": url}


def _said(part: dict[str, Any]) -> list[_Said]:
    return [(name, value, name) for name, value in part.items()]


def _within(part: dict[str, Any], places: tuple[str, ...]) -> Iterator[_Said]:
    """Yield what is said in those places of a part that are objects."""
    for place in places:
        if isinstance(inner := part.get(place), dict):
            yield from ((name, value, f"{place}.{name}") for name, value in inner.items() if value is not None)


def _wishes(
    said: Sequence[_Said], known: tuple[str, ...], form: str, at: PartPlace
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the known wishes of a part, the first of each, and where they stand."""
    found: dict[str, Any] = {}
    places: dict[str, str] = {}
    for name, value, where in said:
        if name in known and name not in found:
            found[name], places[name] = value, where
            at.call(f"{form}.{name}", f"{at.sent}.{where}")
    return found, places


def _unwrapped(given: Any, where: str, at: PartPlace | None = None) -> tuple[Any, str]:
    """Return a URL or base64, whatever it is wrapped in, and its place; what is neither stays, and is refused later.

    What stands beside it is left out `at` its part.
    """
    while isinstance(given, dict):
        taken = _wrapper(given)
        if at is not None:
            at.leave_out([(name, value, f"{where}.{name}") for name, value in given.items() if name != taken])
        given, where = given.get(taken), f"{where}.{taken}"
    return given, where


def _wrapper(given: dict[str, Any]) -> str:
    """Return the name of what an object wraps."""
    return next((name for name in _WRAPPED if given.get(name) is not None), _WRAPPED[0])


def _meanings(places: tuple[str, ...], wishes: tuple[str, ...]) -> list[Meaning]:
    """Return what may stand in several places of a part: the image or the video itself, and each wish about it."""
    within = [same(*(f"{place}.{name}" for name in ("frames", *_WRAPPED))) for place in places]
    either = [same(name, *(f"{place}.{name}" for place in places)) for name in wishes]
    limits = same(*(f"{place}{name}" for place in ("", *(f"{one}." for one in places)) for name in FRAMES))
    return [
        dict.fromkeys(places, _looked_at),
        *within,
        *either,
        dict.fromkeys(limits, lambda given: None if given == -1 else given),
    ]


def _looked_at(given: Any) -> Any:
    """Read an image, a video or frames, whatever they are wrapped in."""
    if isinstance(given, dict) and isinstance(given.get("frames"), list):
        given = given["frames"]
    return [_unwrapped(one, "")[0] for one in given] if isinstance(given, list) else _unwrapped(given, "")[0]
