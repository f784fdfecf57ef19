"""Messages as clients send them, and get them back from other servers, become those that this server knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

_KNOWN: Final = ("role", "content", "name", "reasoning_content", "tool_calls", "tool_call_id")
_THOUGHTS: Final = ("reasoning_content", "reasoning", "thinking")

# What comes with the answers of servers and goes back to them, and says nothing to the model.
_QUIET: Final = frozenset(
    (
        *("annotations", "audio", "cache_control", "function_call", "id", "index", "phase", "prefix", "refusal"),
        *("provider_specific_fields", "reasoning_details", "status", "thinking_blocks", "type", "tool_name"),
    )
)
# What stands in parts beside the text or the picture, and says nothing to the model either.
_QUIET_IN_PARTS: Final = frozenset(
    (
        *("annotations", "cache_control", "filename", "format", "id", "index", "logprobs", "media_type"),
        *("prompt_cache_breakpoint", "status", "type", "uuid"),
    )
)
_TEXTS: Final = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_IMAGES: Final = ("image_url", "input_image", "image")
_VIDEOS: Final = ("video_url", "input_video", "video")
_THOUGHT_PARTS: Final = ("thinking", "redacted_thinking", "reasoning")
_UNSUPPORTED: Final = ("input_audio", "audio_url", "file", "input_file", "document")
# Where a URL or base64 may stand, and what an image may have beside it.
_WRAPPINGS: Final = ("image_url", "image", "source", "url", "data")
_OF_IMAGES: Final = ("detail", "min_pixels", "max_pixels", "mode")
_OF_ALL_IMAGES: Final = ("min_pixels", "max_pixels")
_DETAILS: Final = ("auto", "low", "high")
# Other servers' names of how many frames of a video are looked at; the first of them counts.
FRAMES: Final = ("max_frames", "num_frames", "nframes", "max_num_frames")


def tidy_messages(messages: list[Any], sizes: Mapping[str, Any], ignored: list[str]) -> list[Any]:
    """Return the messages in this server's form, and add to `ignored` what was left out.

    `sizes` has the `min_pixels` and `max_pixels` of images, and the `max_frames` and `fps` of videos,
    that have none of their own, and with `fps_place` where the last is from. What is no message stays
    as it is, and is refused later. Raises `ApiError` 400 for parts that are not supported.
    """
    return [_message(message, sizes, ignored) if isinstance(message, dict) else message for message in messages]


def _message(message: dict[str, Any], sizes: Mapping[str, Any], ignored: list[str]) -> dict[str, Any]:
    given = {name: value for name, value in message.items() if value is not None}
    if "function_call" in given:
        raise ApiError(400, "function_call is not supported; use tool_calls", param="messages")
    tidied: dict[str, Any] = {name: given[name] for name in _KNOWN if name in given}
    for name in _THOUGHTS:
        if isinstance(given.get(name), str):
            tidied.setdefault("reasoning_content", given[name])
    ignored += [f"messages[].{name}" for name in given if name not in (*_KNOWN, *_THOUGHTS) and name not in _QUIET]
    if given.get("role") != "tool" and "name" in given:  # of a tool's result it is that of the call
        ignored.append("messages[].name")
    if tidied.get("tool_calls") == []:
        del tidied["tool_calls"]
    content = tidied.get("content")
    if isinstance(content, dict):
        content = [content]
    if isinstance(content, list):
        parts = [_part(part, sizes, ignored) for part in content]
        tidied["content"] = [part for part in parts if part is not None]
    if tidied.get("role") in ("assistant", "tool") and "content" not in tidied:
        tidied["content"] = given.get("refusal") or []
    return tidied


def _part(part: Any, sizes: Mapping[str, Any], ignored: list[str]) -> Any:
    """Return a part in this server's form; None for one that says nothing to the model."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        return part
    kind = part.get("type") or next((name for name in ("text", *_IMAGES, *_VIDEOS) if name in part), None)
    if not isinstance(kind, str):
        return part
    if kind in _THOUGHT_PARTS:
        ignored.append(f"messages[].content[].{kind}")
        return None
    if kind in _UNSUPPORTED:
        message = f"a part of the type {kind} is not supported; send text, images or videos"
        raise ApiError(400, message, param="messages", code="unsupported_part")
    return _known_part(kind, part, sizes, ignored)


def _known_part(kind: str, part: dict[str, Any], sizes: Mapping[str, Any], ignored: list[str]) -> dict[str, Any]:
    if kind in _TEXTS:
        text = part.get(_TEXTS[kind])
        _name_others(part, (_TEXTS[kind],), ignored)
        return {"type": "text", "text": "" if text is None else text}
    if kind in _IMAGES:
        return {"type": "image_url", "image_url": _image(part, sizes, ignored)}
    if kind in _VIDEOS:
        return {"type": "video_url", "video_url": _video(part, sizes, ignored)}
    return part


def _image(part: dict[str, Any], sizes: Mapping[str, Any], ignored: list[str]) -> dict[str, Any]:
    inner = next((part[name] for name in ("image_url", "image", "source", "url") if part.get(name) is not None), None)
    if inner is None and part.get("file_id") is not None:
        raise ApiError(400, "file_id is not supported; send the image itself", param="messages")
    fields = {**part, **inner} if isinstance(inner, dict) else part
    _name_others(fields, (*_WRAPPINGS, *_OF_IMAGES), ignored)
    image: dict[str, Any] = {"url": _url(inner), **{name: sizes[name] for name in _OF_ALL_IMAGES if name in sizes}}
    image |= {name: fields[name] for name in _OF_IMAGES if name != "detail" and fields.get(name) is not None}
    detail = fields.get("detail")
    if detail in _DETAILS:
        image["detail"] = detail
    elif detail not in (None, "original"):
        ignored.append("messages[].content[].detail")
    return image


def _video(part: dict[str, Any], sizes: Mapping[str, Any], ignored: list[str]) -> dict[str, Any]:
    inner = next((part[name] for name in (*_VIDEOS, "frames", "url") if part.get(name) is not None), None)
    fields = {**part, **inner} if isinstance(inner, dict) else part
    _name_others(fields, (*_WRAPPINGS, *_VIDEOS, *FRAMES, "frames", "fps", "mode"), ignored)
    if isinstance(inner, dict) and isinstance(inner.get("frames"), list):
        inner = inner["frames"]
    wishes = {name: fields[name] for name in ("fps", "mode") if fields.get(name) is not None}
    most = most_frames(fields, "messages[].content[].", ignored)
    wishes |= {} if most is None else {"max_frames": most}
    if not isinstance(inner, list):
        return {"url": _url(inner), **{name: sizes[name] for name in ("max_frames", "fps") if name in sizes}, **wishes}
    if "fps" in wishes:  # how far apart frames at hand are is not known
        ignored.append("messages[].content[].fps")
    elif "fps" in sizes:
        ignored.append(sizes["fps_place"])
    wishes = {"max_frames": sizes.get("max_frames"), **wishes, "fps": None}
    return {"frames": [_url(frame) for frame in inner], **wishes}


def most_frames(given: Mapping[str, Any], place: str, ignored: list[str]) -> Any:
    """Return how many frames of a video are wished for, under any of its names; None if that is not said.

    The other names, and -1, which is as many as there are, are added to `ignored` with their `place`.
    """
    wished = {name: given[name] for name in FRAMES if given.get(name) is not None}
    first = next((value for value in wished.values() if value != -1), None)
    ignored += [f"{place}{name}" for name, value in wished.items() if value != first]
    return int(first) if isinstance(first, float) and first.is_integer() else first


def _name_others(part: dict[str, Any], known: tuple[str, ...], ignored: list[str]) -> None:
    """Name what a part has beside what is known."""
    others = [name for name, value in part.items() if value is not None and name not in known]
    ignored += [f"messages[].content[].{name}" for name in others if name not in _QUIET_IN_PARTS]


def _url(inner: Any) -> Any:
    """Return a URL or base64, whatever it is wrapped in; what is neither stays, and is refused later."""
    if isinstance(inner, dict):
        inner = next((inner[name] for name in ("url", "data", "image_url", "image") if name in inner), None)
        return _url(inner) if isinstance(inner, dict) else inner
    return inner
