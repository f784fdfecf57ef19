"""The bodies of `/api/chat` and `/api/generate` become that of a chat completion: the same question in other words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from uhd_edge.server.errors import ApiError, shown, wrong_type
from uhd_edge.server.media.data import bare_as_data_uri
from uhd_edge.server.media.unseen import leave_out
from uhd_edge.server.openai.own_words import not_ours
from uhd_edge.server.openai.same_meaning import BESIDE_OLLAMAS, OF_MESSAGES, require_agreement
from uhd_edge.server.openai.sent_names import SentNames
from uhd_edge.server.openai.tidy_messages import MOST_PARTS

if TYPE_CHECKING:
    from uhd_edge.server.model_facts import ModelFacts

# Ollama's options of an answer, by this server's names.
_OPTIONS: Final = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "seed": "seed",
    "stop": "stop",
    "num_predict": "max_tokens",
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "typical_p": "typical_p",
    "mirostat": "mirostat",
    **{name: name for name in BESIDE_OLLAMAS},
}
# What is called as in a chat completion.
_BESIDE: Final = ("model", "logprobs", "top_logprobs", "think")
_QUIET: Final = frozenset(("keep_alive", "options", "format", "stream"))
# How the model is loaded, which is settled when the server starts.
_SETTLED: Final = frozenset(
    (
        "num_ctx",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "num_thread",
        "numa",
        "use_mmap",
        "use_mlock",
        "num_keep",
        "low_vram",
        "f16_kv",
    )
)
# No time as Go writes it, such as 0, 0s or 0h0m.
_NO_TIME: Final = re.compile(r"[+-]?(0|(0+(\.0*)?(ns|us|µs|ms|s|m|h))+)")
_CHAT: Final = frozenset(("messages", "tools"))
_GENERATE: Final = frozenset(("prompt", "images", "system"))
# What a message has in other words here, and the name of a tool beside its result, which the call has too.
_OF_MESSAGES: Final = ("images", "thinking", "tool_calls", "tool_name")
# The places of an image or a text in a part.
_WITHIN: Final = ("", ".image_url", ".image_url.url", ".text")
# What would change the prompt in a way that there is not here.
_UNSUPPORTED: Final = ("raw", "suffix", "template", "context")


def require_model(given: dict[str, Any], model: ModelFacts) -> None:
    """Raise `ApiError` 400 unless a body names a model, and 404 unless that is the server's."""
    name = given.get("model") or given.get("name")
    if not isinstance(name, str):
        raise ApiError(400, "model is required", param="model")
    model.require_name(name)


def chat_body(given: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...], SentNames]:
    """Return a body of `/api/chat` as that of a chat completion, with the names of what was left out and translated."""
    body, ignored, names = _settings(given, _CHAT)
    messages = given.get("messages")
    body["messages"] = messages
    if isinstance(messages, list):
        body["messages"] = [_message(one, f"messages.{number}.") for number, one in enumerate(messages)]
        for number, message in enumerate(messages):
            place = f"messages.{number}"
            if isinstance(message, dict):
                require_agreement(message, OF_MESSAGES, f"{place}.")
            names |= {f"{place}.reasoning_content": f"{place}.thinking"}
            names |= _in_content(message, place, f"{place}.images", f"{place}.content")
    if given.get("tools") is not None:
        body["tools"] = given["tools"]
    return body, ignored, SentNames(names)


def generate_body(given: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...], SentNames]:
    """Return a body of `/api/generate` as `chat_body` does that of a chat."""
    for name in _UNSUPPORTED:
        if given.get(name):
            raise ApiError(400, f"{name} is not supported; leave it out", param=name)
    kept = {name: value for name, value in given.items() if name not in _UNSUPPORTED}
    body, ignored, names = _settings(kept, _GENERATE)
    asked = {"role": "user", "content": _text(given, "prompt"), "images": given.get("images")}
    system = [{"role": "system", "content": text}] if (text := _text(given, "system")) else []
    body["messages"] = [*system, _message(asked)]
    prompt = f"messages.{len(system)}"
    names |= dict.fromkeys(("messages.0", "messages.0.content"), "system")
    names |= dict.fromkeys(("messages", prompt, f"{prompt}.content"), "prompt")
    names |= _in_content(asked, prompt, "images", "prompt")
    return body, ignored, SentNames(names)


def require_own_messages(given: dict[str, Any]) -> None:
    """Raise `ApiError` 400 for messages that have what Ollama's do not, such as parts."""
    if not isinstance(messages := given.get("messages"), list):
        return
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            continue
        for name, value in message.items():
            if value is not None and name not in ("role", "content", *_OF_MESSAGES):
                raise not_ours(f"messages.{number}.{name}", "thinking" if name == "reasoning_content" else None)
        if isinstance(message.get("content"), list | dict):
            place = f"messages.{number}.content"
            raise ApiError(400, f"{place}: it must be text, with images beside it (--strict)", param=place)


def only_loads(given: dict[str, Any]) -> bool:
    """Whether a request asks nothing, and so only wants the model to be loaded."""
    return all(given.get(name) in (None, "", []) for name in ("messages", "prompt", "images"))


def only_unloads(given: dict[str, Any]) -> bool:
    """Whether a request that asks nothing wants the model to be unloaded: it is to be kept for no time."""
    kept = given.get("keep_alive")
    if isinstance(kept, str):
        return _NO_TIME.fullmatch(kept) is not None
    return kept == 0 and not isinstance(kept, bool)


def _settings(given: dict[str, Any], own: frozenset[str]) -> tuple[dict[str, Any], tuple[str, ...], dict[str, str]]:
    options = {} if given.get("options") is None else given["options"]
    if not isinstance(options, dict):
        raise wrong_type("options", options, "an object")
    set_options = {name: value for name, value in options.items() if value is not None}
    body: dict[str, Any] = {_OPTIONS[name]: value for name, value in set_options.items() if name in _OPTIONS}
    if body.get("max_tokens") in (-1, -2):  # without a limit, or up to the end of the context
        body["max_tokens"] = 2**31 - 1
    beside = [name for name in (*_BESIDE, *BESIDE_OLLAMAS) if given.get(name) is not None]
    body |= {name: given[name] for name in beside}
    body["stream"] = True if given.get("stream") is None else given["stream"]
    if given.get("format") not in (None, ""):
        body["response_format"] = _format(given["format"])
    known = (*_OPTIONS, *_SETTLED)
    if body.get("repetition_penalty") == 0:  # sent by Open WebUI where there is none; it would divide by it
        del body["repetition_penalty"]
        known = tuple(name for name in known if name != "repeat_penalty")
    ignored: list[str] = []
    leave_out({f"options.{name}": value for name, value in set_options.items() if name not in known}, ignored)
    kept = (*_QUIET, *_BESIDE, *BESIDE_OLLAMAS, *own)
    leave_out({name: value for name, value in given.items() if value is not None and name not in kept}, ignored)
    names = {ours: f"options.{name}" for name, ours in _OPTIONS.items() if ours not in beside}
    names |= dict.fromkeys(("response_format", "response_format.json_schema.schema"), "format")
    return body, tuple(ignored), names


def _text(given: dict[str, Any], name: str) -> str:
    text = given.get(name)
    if text is not None and not isinstance(text, str):
        raise wrong_type(name, text, "text")
    return text or ""


def _in_content(given: Any, message: str, images: str, text: str) -> dict[str, str]:
    """Return what the images and the text are called by the places that `_message` gives them."""
    found = given.get("images") if isinstance(given, dict) else None
    count = len(found) if isinstance(found, list) else 0
    called = [f"{images}.{number}" for number in range(count if count < MOST_PARTS else 0)]  # more are refused
    names: dict[str, str] = {}
    for number, sent in enumerate([*called, text] if called else ()):
        names |= dict.fromkeys((f"{message}.content.{number}{within}" for within in _WITHIN), sent)
    return names


def _format(given: Any) -> dict[str, Any]:
    if given == "json":
        return {"type": "json_object"}
    if not isinstance(given, dict):
        raise ApiError(400, f'format is {shown(given)}; it must be "json" or a JSON schema', param="format")
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": given}}


def _message(given: Any, within: str = "") -> Any:
    """Write a message with its images in parts, and its calls as chat completions have them.

    `within` is what stands before the names of its fields.
    """
    if not isinstance(given, dict):
        return given
    message = {name: value for name, value in given.items() if name not in _OF_MESSAGES}
    for name, ours, nothing in (("thinking", "reasoning_content", ""), ("tool_calls", "tool_calls", [])):
        if given.get(name) not in (None, nothing):
            message[ours] = given[name]
    images = [] if given.get("images") is None else given["images"]
    if not isinstance(images, list):
        raise wrong_type(f"{within}images", images, "a list of base64")
    if images:
        parts = [{"type": "image_url", "image_url": {"url": bare_as_data_uri(image)}} for image in images]
        text = given.get("content")
        message["content"] = parts if text in (None, "") else [*parts, {"type": "text", "text": text}]
    return message
