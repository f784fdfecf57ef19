"""Parts of messages as clients send them become the texts, images and videos that this server knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uhd_edge.server.errors import ApiError
from uhd_edge.server.openai.same_meaning import FRAMES, require_agreement, same

if TYPE_CHECKING:
    from collections.abc import Mapping

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
_UNSUPPORTED: Final = ("input_audio", "audio_url", "file", "input_file", "document")
# Where an image or a video may stand in its part, a URL or base64 within that, and what may be beside it.
_OF_IMAGES: Final = ("image_url", "image", "source", "url", "data")
_OF_VIDEOS: Final = (*_VIDEOS, "frames", "source", "url", "data")
_WRAPPED: Final = ("url", "data", "image_url", "image")
_WISHES_OF_IMAGES: Final = ("detail", "min_pixels", "max_pixels", "mode")
_DETAILS: Final = ("auto", "low", "high", "original")


def tidy_part(part: Any, place: str, ignored: list[str], names: dict[str, str]) -> Any:
    """Return a part in this server's form, None for one that says nothing to the model; `place` is where it stands.

    What wishes about it were called is added to `names`, see `SentNames`. Raises `ApiError` 400 for one that is not
    supported, and for one that has two texts, images or videos.
    """
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        return part
    part = {name: value for name, value in part.items() if value is not None}
    kind = part.get("type") or next((name for name in ("text", *_IMAGES, *_VIDEOS) if name in part), None)
    if kind in _THOUGHTS:
        ignored.append(f"messages[].content[].{kind}")
        return None
    if not isinstance(kind, str):
        return part
    known = _known_part(kind, part, place, ignored)
    beside = [name for name in (*_WISHES_OF_IMAGES, "fps", FRAMES[0]) if name in part]
    names |= {f"{place}.{form}.{name}": f"{place}.{name}" for form in ("image_url", "video_url") for name in beside}
    return known


def _known_part(kind: str, part: dict[str, Any], place: str, ignored: list[str]) -> dict[str, Any]:
    if kind in _UNSUPPORTED:
        message = f"a part of the type {kind} is not supported; send text, images or videos"
        raise ApiError(400, message, param="messages", code="unsupported_part")
    own = next((names for names in _KINDS if kind in names or _TEXTS.get(kind) in names), None)
    if own is None:
        return part
    _require_one_kind(part, kind, own, place)
    if own is _IMAGES:
        return {"type": "image_url", "image_url": _image(part, place, ignored)}
    if own is _VIDEOS:
        return {"type": "video_url", "video_url": _video(part, place, ignored)}
    text = part.get(_TEXTS[kind])
    _name_others(part, (_TEXTS[kind],), ignored)
    return {"type": "text", "text": "" if text is None else text}


def _require_one_kind(part: dict[str, Any], kind: str, own: tuple[str, ...], place: str) -> None:
    """Raise `ApiError` 400 for a part with what belongs into another one, which would be lost."""
    for others in _KINDS:
        other = next((name for name in others if part.get(name, "") != ""), None)
        if others != own and other is not None:
            message = f"{place} is of the type {kind} and has {other}; send each in a part of its own"
            raise ApiError(400, message, param=f"{place}.{other}", code="invalid_parameter_combination")


def _image(part: dict[str, Any], place: str, ignored: list[str]) -> dict[str, Any]:
    require_agreement(part, _meanings(_OF_IMAGES, _WISHES_OF_IMAGES), f"{place}.")
    inner = next((part[name] for name in _OF_IMAGES if name in part), None)
    if inner is None and "file_id" in part:
        raise ApiError(400, "file_id is not supported; send the image itself", param="messages")
    fields = _with_those_within(part, _OF_IMAGES)
    _name_others(fields, (*_OF_IMAGES, *_WISHES_OF_IMAGES), ignored)
    wishes: dict[str, Any] = {name: fields[name] for name in _WISHES_OF_IMAGES if name in fields}
    image = {"url": _url(inner), **wishes}
    if isinstance(detail := image.get("detail"), str) and detail not in _DETAILS:
        ignored.append("messages[].content[].detail")
        del image["detail"]
    return image


def _video(part: dict[str, Any], place: str, ignored: list[str]) -> dict[str, Any]:
    require_agreement(part, _meanings(_OF_VIDEOS, ("fps", "mode")), f"{place}.")
    inner = next((part[name] for name in _OF_VIDEOS if name in part), None)
    fields = _with_those_within(part, _OF_VIDEOS)
    _name_others(fields, (*_OF_VIDEOS, *_OF_IMAGES, *FRAMES, "fps", "mode"), ignored)
    if isinstance(inner, dict) and isinstance(inner.get("frames"), list):
        inner = inner["frames"]
    wishes: dict[str, Any] = {name: fields[name] for name in ("fps", "mode") if name in fields}
    ignored += [f"messages[].content[].{name}" for name in FRAMES if fields.get(name) == -1]  # as many as there are
    limits = [fields[name] for name in FRAMES if fields.get(name, -1) != -1]
    wishes |= {"max_frames": limits[0]} if limits else {}
    if isinstance(inner, list):
        return {"frames": [_url(frame) for frame in inner], **wishes}
    return {"url": _url(inner), **wishes}


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
    return [_url(one) for one in given] if isinstance(given, list) else _url(given)


def _with_those_within(part: dict[str, Any], places: tuple[str, ...]) -> dict[str, Any]:
    inner = [part[place] for place in places if isinstance(part.get(place), dict)]
    return {name: value for one in (*inner, part) for name, value in one.items() if value is not None}


def _name_others(part: Mapping[str, Any], known: tuple[str, ...], ignored: list[str]) -> None:
    """Name what a part has beside what is known."""
    ignored += [f"messages[].content[].{name}" for name in part if name not in known and name not in _QUIET]


def _url(inner: Any) -> Any:
    """Return a URL or base64, whatever it is wrapped in; what is neither stays, and is refused later."""
    if isinstance(inner, dict):
        inner = next((inner[name] for name in _WRAPPED if inner.get(name) is not None), None)
        return _url(inner) if isinstance(inner, dict) else inner
    return inner
