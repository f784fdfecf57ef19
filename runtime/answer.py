"""An answer and its facts, as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.runtime.modes import Mode, Precision

FinishReason = Literal["stop", "length"]


class Thought(str):
    """A piece of what a model thinks before it answers, among the pieces of a stream.

    It is a string. The pieces that are not of this class are the answer's text.
    """

    __slots__ = ()


@dataclass(frozen=True)
class ToolCall:
    """A function that the model wants to be called: its name, and its arguments by name, as JSON values."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class TokenLogprob:
    """A token of an answer, and how likely the model held it where it stands.

    `token` is its id, `data` the bytes that it adds to the text, perhaps half a character, and
    `logprob` the natural logarithm of its probability, before temperature, limits and penalties.
    `top` are the likeliest tokens at this place, the likeliest first.
    """

    token: int
    data: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()

    @property
    def text(self) -> str:
        """Its bytes as text, with U+FFFD for halves of characters."""
        return self.data.decode("utf-8", errors="replace")

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dict that `json.dumps` takes."""
        own = {"token": self.token, "text": self.text, "bytes": list(self.data), "logprob": self.logprob}
        return {**own, "top": [other.to_dict() for other in self.top]} if self.top else own


class RankedText(str):
    """A piece of an answer's text, among the pieces of a stream whose question asks for `logprobs`.

    It is a string. `tokens` are those that the model has written since the piece before. `Answer.logprobs` has them
    too, but for those that add nothing to its text: whitespace around it, and a stop.
    """

    __slots__ = ("tokens",)
    tokens: tuple[TokenLogprob, ...]

    def __new__(cls, text: str, tokens: tuple[TokenLogprob, ...]) -> RankedText:
        """Make a piece of this text."""
        piece = super().__new__(cls, text)
        piece.tokens = tokens
        return piece


@dataclass(frozen=True)
class EncodedView:
    """The size of a view in patches, and the number of its tokens.

    `reused` says that it was in the cache when its image was encoded; views are compared without it.
    """

    rows: int
    columns: int
    tokens: int
    reused: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class ImageCut:
    """How an image of an answer was cut: into `rows` x `columns` slices beside its thumbnail, 0 x 0 for none.

    `mode` is what it was encoded in. Frames of the first video have `video` 0, of the next one 1; other images None.
    """

    rows: int
    columns: int
    mode: Mode
    video: int | None = None


@dataclass(frozen=True)
class Plan:
    """A mode and a number of slices that a question can be answered with, and what it costs.

    `views`, `patches` and `vision_tokens` count all images that come with the question,
    `prompt_tokens` the whole prompt, including earlier turns of a session. `predicted_ms` is the
    usual time from the question to the first token, and `upper_ms` one that 95 of 100 such
    questions keep, or as many as `budget_share` says. `within_budget` says that `upper_ms` is
    within the budget, None without one. `too_noisy` says that only the usual time is: times vary
    too much here to promise the budget.
    """

    mode: Mode
    max_slices: int
    views: int
    patches: int
    vision_tokens: int
    prompt_tokens: int
    predicted_ms: float
    upper_ms: float
    within_budget: bool | None = None
    too_noisy: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a dict that `json.dumps` takes."""
        times = {"predicted_ms": round(self.predicted_ms, 3), "upper_ms": round(self.upper_ms, 3)}
        return asdict(self) | times


@dataclass(frozen=True)
class Usage:
    """Numbers of tokens.

    `prompt_tokens` includes `vision_tokens`. `completion_tokens` includes an end token. In a
    session, prompt and vision tokens are those of the whole conversation; `cached_tokens` of them
    were in memory, and only the others were prefilled for this answer. `thinking_tokens` of the
    completion are the model's thoughts, with the few tokens that close them.
    """

    vision_tokens: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    thinking_tokens: int = 0


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        text: The text, without whitespace around it, as transformers' processor returns it.
        finish_reason: "stop" when the model or one of the stops ended the answer, "length" when
            `max_tokens` or the context did.
        usage: Numbers of tokens.
        views: The views of all images in their order, each image's thumbnail first.
        images: How each of these images was cut; a frame of a video is one.
        timings_ms: Milliseconds of each stage: decode, slice, open (engines of a mode that is
            used for the first time, else 0), cache (views that were seen before), patches,
            encoder, connector (each summed over all images), prompt (template and tokenizer),
            prefill, generate (from the first token to the end); and, counted from the question,
            first_token and total. All but first_token add up to total.
        mode: "16x" or "4x".
        plan: What was chosen for a question with a budget; None without one.
        parsed: The value of an answer with a schema: a JSON value, or an instance of the pydantic
            model; None without a schema, and beside calls.
        dropped_turns: How many turns of the session were dropped to make room.
        reused_views: How many of the views did not have to be encoded.
        precision: What the vision graphs that encoded the images ran in: "fp32", "fp16", "int8", "fp8" or "nvfp4"; None
            without images, and where images of a session differ.
        thinking: What the model thought before it answered, without whitespace around it; empty
            unless it was asked to think, see `think`.
        tool_calls: The functions that the model wants to be called, see `tools`; `text` is what it
            said besides.
        logprobs: The tokens of `text` with their probabilities, where `logprobs` asked for them; with
            calls, those of the calls too.
        alternatives: The other answers to the same question, see `answers`.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    views: tuple[EncodedView, ...]
    timings_ms: Mapping[str, float]
    mode: Mode
    plan: Plan | None = None
    parsed: Any = None
    dropped_turns: int = 0
    reused_views: int = 0
    precision: Precision | None = None
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    alternatives: tuple[Answer, ...] = ()
    images: tuple[ImageCut, ...] = ()

    @property
    def timings(self) -> Mapping[str, float]:
        """Another name of `timings_ms`."""
        return self.timings_ms

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as a dict that `json.dumps` takes, the one that `uhd ask --json` prints.

        `answer` is the text. `thinking`, `tool_calls`, `parsed`, `plan`, `precision`, `logprobs` and
        `alternatives` are left out where there is none; an instance of a pydantic model becomes a dict.
        """
        parsed = self.parsed.model_dump(mode="json") if hasattr(self.parsed, "model_dump") else self.parsed
        shown = {
            "answer": self.text,
            "thinking": self.thinking or None,
            "tool_calls": [asdict(call) for call in self.tool_calls] or None,
            "finish_reason": self.finish_reason,
            "usage": asdict(self.usage),
            "views": [asdict(view) for view in self.views],
            "images": [asdict(image) for image in self.images],
            "timings_ms": {stage: round(milliseconds, 3) for stage, milliseconds in self.timings_ms.items()},
            "parsed": parsed,
            "plan": None if self.plan is None else self.plan.to_dict(),
            "precision": self.precision,
            "logprobs": [token.to_dict() for token in self.logprobs] or None,
            "alternatives": [answer.to_dict() for answer in self.alternatives] or None,
        }
        return {name: value for name, value in shown.items() if value is not None}
