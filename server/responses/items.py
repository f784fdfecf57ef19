"""The items of a response's input become the messages of a chat completion."""

from __future__ import annotations

from typing import Any, Final

from uhd_edge.server.errors import ApiError, shown, wrong_type
from uhd_edge.server.media.unseen import leave_out_others
from uhd_edge.server.openai.same_meaning import THOUGHTS, contradiction

# What comes with the parts of an answer and goes back with them, and says nothing to the model.
_QUIET_IN_PARTS: Final = ("annotations", "logprobs", "prompt_cache_breakpoint")

# What makes a file, and what an image may have beside it.
_OF_FILES: Final = ("file_data", "file_id", "file_url", "filename")
_OF_IMAGES: Final = ("detail", "mode", "min_pixels", "max_pixels")
_ITEMS: Final = "text or a list of items"

# What comes with the items of an answer and goes back with them, and what else each may have.
_QUIET: Final = ("id", "type", "status", "phase")
_KNOWN: Final = {
    "reasoning": ("summary", "content", "encrypted_content"),
    "function_call": ("call_id", "name", "arguments", "namespace", "parsed_arguments"),
    "function_call_output": ("call_id", "output", "created_by"),
}


def read_items(given: dict[str, Any], names: dict[str, str], ignored: list[str]) -> list[Any]:
    """Return the conversation as messages, and add to `names` what each is of; see `SentNames`.

    Calls and thoughts belong to the assistant's message beside them. What is left out goes to `ignored`. Raises
    `ApiError` 400 for items that are not supported, and for thoughts that contradict each other.
    """
    names["messages"] = "input"
    messages: list[Any] = []
    if given.get("instructions") not in (None, "", []):
        messages.append({"role": "system", "content": given["instructions"]})
        names |= dict.fromkeys(("messages.0", "messages.0.content"), "instructions")
    asked = given.get("input")
    if isinstance(asked, str):
        names |= dict.fromkeys((f"messages.{len(messages)}", f"messages.{len(messages)}.content"), "input")
        return [*messages, {"role": "user", "content": asked}]
    if not isinstance(asked, list) or not asked:
        if asked is None or asked == []:
            told = "missing" if asked is None else "an empty list"
            raise ApiError(400, f"input is {told}; it must be {_ITEMS}", param="input")
        raise wrong_type("input", asked, _ITEMS)
    for number, item in enumerate(asked):
        place = f"input.{number}"
        if not isinstance(item, dict):
            raise wrong_type(place, item, "an object")
        before, kind = len(messages), "message" if item.get("type") is None else item["type"]
        inner = (
            _add_message(item, messages, place, names)
            if kind == "message"
            else _add(kind, item, messages, place, ignored)
        )
        if kind != "message":
            leave_out_others(place, item, (*_QUIET, *_KNOWN[kind]), ignored)
        if len(messages) > before:
            names[f"messages.{before}"] = place
        names |= {f"messages.{len(messages) - 1}.{name}": f"{place}{sent}" for name, sent in inner.items()}
    return messages


def _add_message(item: dict[str, Any], messages: list[Any], place: str, names: dict[str, str]) -> dict[str, str]:
    """Add a message, and return what it calls the places within it; thoughts before it are its own."""
    message = {name: item[name] for name in item if name not in _QUIET}
    message["content"] = _parts(item.get("content"), f"{place}.content")
    sent = {name: f".{name}" for name in message} | _in_parts(item.get("content"), ".content")
    if message.get("role") != "assistant" or not _waits_for_text(messages):
        messages.append(message)
        return sent
    before, thoughts = names[f"messages.{len(messages) - 1}.reasoning_content"], messages[-1]["reasoning_content"]
    for name in THOUGHTS:
        if (said := message.pop(name, None)) not in (None, "", thoughts) and thoughts:
            raise contradiction(f"{place}.{name}", before)
        if said and not thoughts:
            message[name] = said
    messages[-1] |= message
    return {name: sent[name] for name in sent if name not in THOUGHTS or name in message}


def _add(kind: Any, item: dict[str, Any], messages: list[Any], place: str, ignored: list[str]) -> dict[str, str]:
    """Add what is no message, and return what it calls the places within its message."""
    if kind == "reasoning":
        thoughts = {name: _thoughts(item.get(name), f"{place}.{name}", ignored) for name in ("content", "summary")}
        name = "content" if thoughts["content"] else "summary"
        _assistant(messages)["reasoning_content"] = thoughts[name]
        return {"reasoning_content": f".{name}"}
    if kind == "function_call":
        last = messages[-1] if messages and messages[-1].get("role") == "assistant" else _assistant(messages)
        calls = last.setdefault("tool_calls", [])
        calls.append(_call(item, place))
        call = f"tool_calls.{len(calls) - 1}"
        return {call: "", f"{call}.function": "", f"{call}.id": ".call_id"}
    if kind == "function_call_output":
        output = "" if item.get("output") is None else _parts(item["output"], f"{place}.output")
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": output})
        return {"tool_call_id": ".call_id"} | _in_parts(item.get("output"), ".output")
    raise ApiError(400, f"{place}: items of the type {shown(kind)} are not supported", param=place)


def _call(item: dict[str, Any], place: str) -> dict[str, Any]:
    """Return a call as chat completions have it; raises `ApiError` 400 for one without a name."""
    if not isinstance(item.get("name"), str):
        raise ApiError(400, f"{place}.name: a function_call needs the name of its function", param=f"{place}.name")
    arguments = "{}" if item.get("arguments") in (None, "") else item["arguments"]
    function = {"name": item["name"], "arguments": arguments}
    return {"id": item.get("call_id"), "type": "function", "function": function}


def _assistant(messages: list[Any]) -> dict[str, Any]:
    """Begin an assistant's message."""
    messages.append({"role": "assistant"})
    begun: dict[str, Any] = messages[-1]
    return begun


def _waits_for_text(messages: list[Any]) -> bool:
    return bool(messages) and messages[-1].keys() == {"role", "reasoning_content"}


def _thoughts(given: Any, place: str, ignored: list[str]) -> str:
    """Return the thoughts of a list of parts; raises `ApiError` 400 for a part that is no text."""
    texts = []
    for number, part in enumerate([] if given in (None, "", {}) else as_list(given, place)):
        at, inner = f"{place}.{number}", part if isinstance(part, dict) else {"text": part}
        if not isinstance(text := "" if inner.get("text") is None else inner["text"], str):
            raise wrong_type(f"{at}.text" if inner is part else at, text, "text")
        leave_out_others(at, inner, ("type", "text"), ignored)
        texts.append(text)
    return "\n".join(texts)


def _parts(content: Any, place: str) -> Any:
    """Return content with its parts as chat completions have them, and what stands in them besides."""
    if not isinstance(content, list):
        return content
    return [_part(part, f"{place}.{number}") if isinstance(part, dict) else part for number, part in enumerate(content)]


def _in_parts(content: Any, sent: str) -> dict[str, str]:
    """Return what content is called, and in it what `_part` has put elsewhere."""
    names = {"content": sent}
    for number, part in enumerate(content if isinstance(content, list) else ()):
        if isinstance(part, dict) and part.get("type") == "input_file":
            names[f"content.{number}.file"] = f"{sent}.{number}"
        if isinstance(part, dict) and part.get("type") == "input_image" and isinstance(part.get("image_url"), str):
            image = f"content.{number}.image_url"
            names[f"{image}.url"] = f"{sent}.{number}.image_url"
            names |= {f"{image}.{name}": f"{sent}.{number}.{name}" for name in _OF_IMAGES}
    return names


def _part(part: dict[str, Any], place: str) -> dict[str, Any]:
    given = {name: value for name, value in part.items() if value is not None and name not in _QUIET_IN_PARTS}
    kind = given.get("type")
    if kind in ("input_text", "output_text"):
        return {**given, "type": "text"}
    if kind == "input_file":
        beside = {name: value for name, value in given.items() if name not in _OF_FILES}
        return {**beside, "type": "file", "file": {name: given[name] for name in _OF_FILES if name in given}}
    if kind != "input_image":
        return part
    if "file_id" in given:
        place = f"{place}.file_id"
        raise ApiError(400, f"{place} is not supported; send the image itself", param=place)
    if not isinstance(given.get("image_url"), str):
        return {**given, "type": "image_url"}
    wishes = {name: given[name] for name in _OF_IMAGES if name in given}
    others = {name: value for name, value in given.items() if name not in _OF_IMAGES}
    return {**others, "type": "image_url", "image_url": {"url": given["image_url"], **wishes}}


def as_list(given: Any, name: str) -> list[Any]:
    """Return a list as it is; raises `ApiError` 400 for anything else."""
    if not isinstance(given, list):
        raise wrong_type(name, given, "a list")
    return given
