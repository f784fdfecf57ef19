"""The parameters of a chat completion as clients send them become those that this server knows.

What asks for something else than this server can do is refused. What changes nothing here is taken
and left out. What is not known is left out too, and named.
"""

from __future__ import annotations

from typing import Any, Final

from uhd_edge.runtime.schema.plain_json import load_plain_json, why_unread
from uhd_edge.server.errors import ApiError, wrong_type
from uhd_edge.server.media.unseen import leave_out, leave_out_others
from uhd_edge.server.openai.same_meaning import FRAMES
from uhd_edge.server.openai.thinking import translate_thinking
from uhd_edge.server.openai.tidy_messages import looked_at, tidy_messages

# What describes the client, or how a request travels, and never changes an answer.
QUIET: Final = frozenset(
    (
        *("metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "store"),
        *("user", "cache_control", "cache_prompt", "stream_obfuscation", "add_generation_prompt"),
        *("prompt_cache_options", "prompt_cache_breakpoint"),
        *("continue_final_message", "skip_special_tokens", "spaces_between_special_tokens", "id_slot", "keep_alive"),
    )
)

# What this server cannot do, with the values that do not ask for it.
NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "audio": (),
    "bad_words": ([],),
    "best_of": (1,),
    "chat_template": (),
    "documents": ([],),
    "dry_multiplier": (0,),
    "echo": (False,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "grammar": ("",),
    "guided_choice": ([],),
    "guided_grammar": (),
    "guided_regex": (),
    "ignore_eos": (False,),
    "length_penalty": (1,),
    "min_tokens": (0,),
    "mirostat": (0,),
    "modalities": (["text"],),
    "moderation": (),
    "stop_token_ids": ([],),
    "suffix": ("",),
    "typical_p": (1,),
    "use_beam_search": (False,),
    "web_search_options": (),
    "xtc_probability": (0,),
}

# Other servers' names of what this one has; what several of them say agrees, see `same_meaning.py`.
_SAME: Final = {
    "max_output_tokens": "max_completion_tokens",
    "n_predict": "max_tokens",
    "num_predict": "max_tokens",
    "repeat_penalty": "repetition_penalty",
    "max_slice_nums": "max_slices",
    "reasoning_budget": "think_tokens",
    "thinking_budget": "think_tokens",
    **dict.fromkeys(FRAMES[1:], FRAMES[0]),
}

# What vLLM has in two other places: what limits the pixels of images, and what is looked at of videos.
_SIZES: Final = {name: name for name in ("min_pixels", "max_pixels", "fps")} | dict.fromkeys(FRAMES, FRAMES[0])
_OF_PROCESSORS: Final = _SIZES | {"max_slice_nums": "max_slices", "downsample_mode": "mode"}

_OF_FORMATS: Final = ("type", "json_schema", "schema")
_OF_SCHEMAS: Final = ("name", "description", "schema", "strict")
# What other servers have in a format to ask for answers of a form, beside or instead of a schema.
_OTHER_FORMS: Final = ("value", "pattern", "regex", "grammar", "ebnf", "choice", "choices")
_TEMPLATE: Final = ("enable_thinking",)
_WHOLE: Final = (
    *("top_k", "seed", "max_tokens", "max_completion_tokens", "n", "top_logprobs", "max_slices", "think_tokens"),
    *("max_frames", "min_pixels", "max_pixels"),
)


def tidy_request(
    given: dict[str, Any], known: frozenset[str], names: dict[str, str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the parameters, all of them among the `known`, and the names of those that were ignored.

    What the translated ones were called is added to `names`, see `SentNames`. Raises `ApiError` 400
    for what is not supported.
    """
    ignored: list[str] = []
    tidied = _renamed({name: value for name, value in given.items() if value is not None}, names)
    refuse_unsupported(tidied)
    _translate_formats(tidied, ignored, names)
    translate_thinking(tidied, ignored, names)
    _translate_sizes(tidied, ignored, names)
    _translate_numbers(tidied)
    for name, inner in (("chat_template_kwargs", _TEMPLATE), ("stream_options", ("include_usage",))):
        if isinstance(tidied.get(name), dict):
            leave_out_others(name, tidied[name], (*inner, "include_obfuscation"), ignored)
            tidied[name] = {key: value for key, value in tidied[name].items() if key in inner}
    others = [name for name, value in tidied.items() if value is not None and name not in known | QUIET]
    left = {name: tidied[name] for name in others}
    tidied = {name: value for name, value in tidied.items() if name in known}
    told: list[str] = []
    if isinstance(tidied.get("messages"), list):
        tidied["messages"] = tidy_messages(tidied["messages"], told, names)
    leave_out(left, ignored, looked_at(tidied.get("messages")))
    return tidied, (*ignored, *told)


def _renamed(given: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Write other servers' names as this one's."""
    renamed = {name: value for name, value in given.items() if name not in _SAME}
    for other, name in _SAME.items():
        if other in given and name not in renamed:
            renamed[name], names[name] = given[other], other
    return renamed


def refuse_unsupported(given: dict[str, Any]) -> None:
    """Take out what does not ask for anything; raises `ApiError` 400 for what asks for what there is not."""
    for name in [name for name in given if name in NEUTRAL]:
        if given[name] not in NEUTRAL[name]:
            raise ApiError(400, f"{name} is not supported; leave it out", param=name, code="unsupported_parameter")
        del given[name]


def _translate_formats(given: dict[str, Any], ignored: list[str], names: dict[str, str]) -> None:
    """Write vLLM's ways to ask for JSON as OpenAI's."""
    wanted, name = given.pop("guided_json", None), "guided_json"
    if (structured := given.pop("structured_outputs", None)) is not None:
        wanted, name = _json_of(structured, wanted), "structured_outputs"
    if isinstance(wanted, str):
        wanted = _parsed(wanted, name)
    if wanted is not None and "response_format" not in given:
        names |= dict.fromkeys(("response_format", "response_format.json_schema.schema"), name)
        given["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted}}
    wanted = given.get("response_format")
    if not isinstance(wanted, dict):
        return
    place, own = "response_format", wanted.get("json_schema")
    if (other := next((one for one in _OTHER_FORMS if wanted.get(one) is not None), None)) is not None:
        told = f"{place}.{other} is not supported; ask for JSON by json_schema.schema"
        raise ApiError(400, told, param=f"{place}.{other}", code="unsupported_parameter")
    leave_out_others(place, wanted, _OF_FORMATS, ignored)
    given[place] = {name: wanted[name] for name in wanted if name in _OF_FORMATS}
    if isinstance(own, dict):
        leave_out_others(f"{place}.json_schema", own, _OF_SCHEMAS, ignored)
        given[place]["json_schema"] = {name: own[name] for name in own if name in _OF_SCHEMAS}
    if isinstance(wanted.get("schema"), dict):  # llama.cpp's and Together's
        schema, names["response_format.json_schema.schema"] = wanted["schema"], "response_format.schema"
        given["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _json_of(structured: Any, otherwise: Any) -> Any:
    """Return the schema in vLLM's newer way to ask; raises `ApiError` 400 for what else that may ask for."""
    asked = [name for name in structured if structured[name] is not None] if isinstance(structured, dict) else [""]
    if set(asked) - {"json"}:
        raise ApiError(
            400, "structured_outputs may have json only", param="structured_outputs", code="unsupported_parameter"
        )
    return structured["json"] if asked else otherwise


def _parsed(text: str, name: str) -> Any:
    try:
        return load_plain_json(text)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"{name} {why_unread(error)}", param=name) from error


def _translate_sizes(given: dict[str, Any], ignored: list[str], names: dict[str, str]) -> None:
    """Take what is looked at of images and videos from the two places where vLLM has it."""
    processor = _object(given.pop("mm_processor_kwargs", None), "mm_processor_kwargs")
    reading = _object(given.pop("media_io_kwargs", None), "media_io_kwargs")
    leave_out_others("media_io_kwargs", reading, ("video",), ignored)
    video = _object(reading.get("video"), "media_io_kwargs.video")
    if given.get("max_frames") == -1:
        ignored.append(names.pop("max_frames", "max_frames"))
        del given["max_frames"]
    places = (("mm_processor_kwargs", processor, _OF_PROCESSORS), ("media_io_kwargs.video", video, _SIZES))
    for place, found, known in places:
        for name, value in found.items():
            ours = known.get(name)
            if value is None:
                continue
            if ours is None or (name in FRAMES and value == -1):  # -1 is as many as there are
                leave_out({f"{place}.{name}": value}, ignored)
            elif ours not in given:
                given[ours], names[ours] = value, f"{place}.{name}"


def _object(given: Any, place: str) -> dict[str, Any]:
    if given is not None and not isinstance(given, dict):
        raise wrong_type(place, given, "an object")
    return given or {}


def _translate_numbers(given: dict[str, Any]) -> None:
    """Write "off" as this server has it, and take whole numbers that are written with a point."""
    if given.get("top_k") == -1:
        given["top_k"] = 0
    for name in _WHOLE:
        if isinstance(given.get(name), float) and given[name].is_integer():
            given[name] = int(given[name])
    for name in ("max_tokens", "max_completion_tokens"):
        if given.get(name) == -1:  # llama.cpp's for no limit
            del given[name]
    if isinstance(
        biases := given.get("logit_bias"), dict
    ):  # null is none, and false rules a token out, as in llama.cpp
        given["logit_bias"] = {
            token: -100 if bias is False else bias for token, bias in biases.items() if bias is not None
        }
    if given.get("stop") in ([], ""):
        del given["stop"]
    if given.get("tools") == []:
        del given["tools"]
