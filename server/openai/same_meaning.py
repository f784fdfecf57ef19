"""Names that mean the same, by API: where two of them in one body differ, the request is refused.

Which of the two would count, nobody who sends both can know. OpenAI does so with `max_tokens` beside
`max_completion_tokens`. Where an API reads only one of two places, the other is no name of it and stands in no table:
it is ignored and named, as all that is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from uhd_edge.runtime.schema.plain_json import load_plain_json
from uhd_edge.server.errors import ApiError

Reader: TypeAlias = Callable[[Any], Any]
# The places of one meaning in a body, such as `reasoning.effort`, each with what reads its value so that it can be
# compared with those of the others; None says nothing.
Meaning: TypeAlias = Mapping[str, Reader]

# Names of how many frames of a video are looked at.
FRAMES: Final = ("max_frames", "num_frames", "nframes", "max_num_frames")
# OpenAI's efforts. How much is thought is limited by `think_tokens` alone.
EFFORTS: Final[Mapping[str, bool]] = MappingProxyType(
    {name: name not in ("none", "minimal") for name in ("none", "minimal", "low", "medium", "high", "xhigh", "max")}
)
# What leaves it to the model whether to think.
UNDECIDED: Final = ("auto", "default", "adaptive")
# What asks for the probabilities of an answer's tokens in responses.
LOGPROBS: Final = "message.output_text.logprobs"

_PROCESSOR: Final = "mm_processor_kwargs."
_SIZES_AT: Final = ("", _PROCESSOR, "media_io_kwargs.video.")


def require_agreement(given: Mapping[str, Any], meanings: Iterable[Meaning], within: str = "") -> None:
    """Raise `ApiError` 400 that names two places which contradict each other; `within` stands before their names."""
    for meaning in meanings:
        read = {place: _said(given, place, reader) for place, reader in meaning.items()}
        said = [(f"{within}{place}", value) for place, value in read.items() if value is not None]
        for place, value in said[1:]:
            if value != said[0][1] or isinstance(value, bool) is not isinstance(said[0][1], bool):
                raise contradiction(place, said[0][0])


def contradiction(place: str, other: str) -> ApiError:
    """Return the error for two places of one meaning that say different things."""
    message = f"{place} and {other} contradict each other; send one of them"
    return ApiError(400, message, param=place, code="invalid_parameter_combination")


def same(*places: str) -> Meaning:
    """Return the meaning of places whose values are written alike."""
    return dict.fromkeys(places, lambda value: value)


def _said(given: Any, place: str, reader: Reader) -> Any:
    for name in place.split("."):
        given = given.get(name) if isinstance(given, dict) else None
    return None if given is None else reader(given)


def _wish(given: Any) -> Any:
    """Read whether to think: true or false, an effort, or an object of the type enabled or disabled."""
    if isinstance(given, dict):
        kind = given.get("type")
        given = kind == "enabled" if kind in ("enabled", "disabled") else kind
    if isinstance(given, str):
        return None if given in UNDECIDED else EFFORTS.get(given, given)
    return given


def _schema(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return load_plain_json(given)
    except (ValueError, RecursionError):
        return given  # which is refused later


def _format(given: Any) -> Any:
    """Read the schema of a format, and of text its type."""
    if not isinstance(given, dict):
        return given
    schemas = (given, given.get("json_schema"))
    schema = next((one["schema"] for one in schemas if isinstance(one, dict) and one.get("schema") is not None), None)
    if schema is None and given.get("type") in ("json_object", "json_schema"):
        return {"type": "object"} if given["type"] == "json_object" else {}
    return given.get("type") if schema is None else schema


def _limit_of_frames(given: Any) -> Any:
    return None if given == -1 else given


def _of_media(name: str, *names: str) -> Meaning:
    return same(*(f"{place}{one}" for place in _SIZES_AT for one in (name, *names)))


_LIMITS: Final = ("max_tokens", "n_predict", "num_predict")
_FORMATS: Final[Meaning] = {"response_format": _format, "guided_json": _schema, "structured_outputs.json": _schema}
_RANKED: Final[Meaning] = {"logprobs": lambda given: given, "top_logprobs": lambda given: bool(given) or None}

_OF_BOTH: Final[tuple[Meaning, ...]] = (
    same("repetition_penalty", "repeat_penalty"),
    same("mode", f"{_PROCESSOR}downsample_mode"),
    same("max_slices", "max_slice_nums", f"{_PROCESSOR}max_slice_nums"),
    same("think_tokens", "reasoning_budget", "thinking_budget", "thinking.budget_tokens", "reasoning.max_tokens"),
    dict.fromkeys(
        (
            *("think", "thinking", "enable_thinking", "reasoning_effort", "reasoning.effort", "reasoning.enabled"),
            *(f"chat_template_kwargs.{name}" for name in ("enable_thinking", "thinking", "enable_reasoning")),
        ),
        _wish,
    ),
    same("response_format.json_schema.schema", "response_format.schema"),
    *(_of_media(name) for name in ("min_pixels", "max_pixels", "fps")),
    dict.fromkeys(_of_media(*FRAMES), _limit_of_frames),
)
OF_CHATS: Final[tuple[Meaning, ...]] = (
    *_OF_BOTH,
    same("max_completion_tokens", "max_output_tokens", *_LIMITS),
    _FORMATS,
    _RANKED,
)
OF_RESPONSES: Final[tuple[Meaning, ...]] = (
    *_OF_BOTH,
    same("max_output_tokens", "max_completion_tokens", *_LIMITS),
    {"text.format": _format, **_FORMATS},
    same("text.format.schema", "text.format.json_schema.schema"),
    {**_RANKED, "include": lambda given: True if isinstance(given, list) and LOGPROBS in given else None},
    same("input", "messages"),
)
# This server's own, beside the messages or in the options, which Ollama's clients hand through.
BESIDE_OLLAMAS: Final = (
    *("mode", "max_slices", "min_pixels", "max_pixels", "budget_ms", "budget_share", "think_tokens"),
)
OF_OLLAMA: Final[tuple[Meaning, ...]] = (*(same(f"options.{name}", name) for name in BESIDE_OLLAMAS), _RANKED)
# What an assistant thought, in a message; "" is no thought.
THOUGHTS: Final = ("reasoning_content", "reasoning", "thinking")
OF_MESSAGES: Final[tuple[Meaning, ...]] = (dict.fromkeys(THOUGHTS, lambda given: None if given == "" else given),)
