"""What can be set for one question: named once, for every way of asking."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypedDict, cast, get_args

from uhd_edge.runtime.conversation.chat_messages import read_messages
from uhd_edge.runtime.conversation.request import DEFAULT_SHARE, Budget, Request, Settings
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.llm.stopping import parse_stops
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.prompt.messages import ToolResult
from uhd_edge.runtime.tools.tool_set import NO_TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from uhd_edge.runtime.conversation.encoded_images import QuestionImage
    from uhd_edge.runtime.prompt.messages import Message
    from uhd_edge.runtime.schema.answer_schema import AnswerSchema, SchemaInput
    from uhd_edge.runtime.tools.given_tools import ToolInput
    from uhd_edge.runtime.tools.tool_set import ToolSet


class AskOptions(TypedDict, total=False):
    """Settings of one question; each may be left out.

    max_tokens: Most tokens of the answer.
    temperature: 0 always takes the likeliest token; up to 100 the choice gets more random.
    top_k: Choose among this many of the likeliest tokens; 0 is off.
    top_p: Choose among the likeliest tokens that together have this probability; 1 is off.
    min_p: Choose among tokens with at least this share of the likeliest one's probability; 0 is off.
    repetition_penalty: Above 1, tokens of the question and of the answer so far become less likely.
    seed: Seed of the random choice; the same seed gives the same text.
    presence_penalty: Taken off the logits of all tokens that the answer has so far, -2 to 2; 0 is off.
    frequency_penalty: Taken off them once for every time that the answer has them, -2 to 2; 0 is off.
    logit_bias: Added to the logits of tokens, -100 to 100 by the token's id.
    mode: "16x" or "4x", how much the vision tokens are compressed; None is what the assistant
        or the session was opened with.
    max_slices: Most slices that an image is cut into; 1 is the thumbnail alone, and None is what
        the assistant or the session was opened with.
    budget_ms: Most milliseconds from the question to the first token. The number of slices (up to
        `max_slices`), and the mode where none is given, are chosen to keep within it; see
        `Answer.plan`. The first question with a budget measures this machine, which takes some
        seconds that are not counted; `Assistant.measure` does so beforehand.
    budget_share: How many of the questions that are promised to keep `budget_ms` are to keep it,
        0.5 to 0.99; the rest may take longer.
    schema: Makes the answer JSON of a given shape: a JSON schema as a dict or as text, or a
        pydantic model class. `answer_schema` prepares one that is used often. The value is
        `Answer.parsed`. The model does not see the schema, so the question should say what is
        wanted. An answer that does not fit, because it was cut off at `max_tokens` for example,
        raises `SchemaError`.
    tolerance: Reuse the embeddings of a view from a noisy camera when its pixels differ from the
        view before by no more than this, in grey levels from 0 to 255; see `VisionEncoder.encode`.
    stop: A text, or up to 16 of them; the answer ends before the first one.
    think: Lets a model that can do so think before it answers; see `Answer.thinking`. None is what
        its chat template does by default. A `schema` and `stop` count for the answer only.
    think_tokens: Most tokens of these thoughts, beside `max_tokens`; they also leave room in the
        context for the answer. Thoughts that are cut off are followed by an answer all the same.
    tools: Functions that the model may ask to be called: Python functions with type hints, or JSON
        definitions as in OpenAI's API; see `Answer.tool_calls`. A session keeps them until others
        are given.
    tool_choice: "auto" leaves it to the model whether to call, "none" forbids it, "required" makes
        it call one of the tools, and the name of a tool makes it call that one.
    parallel_tool_calls: False ends the answer after its first call.
    logprobs: Gives the probability of every token of the answer, and of this many of the likeliest
        ones at its place, 0 to 20; see `Answer.logprobs`. The pieces of a stream are then `RankedText`.
    answers: How many answers are generated, 1 to 8, with the seeds `seed`, `seed + 1` and so on. The
        images and the question are read once. The first is the answer, a stream's pieces are its
        own, and the others are `Answer.alternatives`.
    """

    max_tokens: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    seed: int
    presence_penalty: float
    frequency_penalty: float
    logit_bias: Mapping[int, float] | None
    mode: Mode | None
    max_slices: int | None
    budget_ms: float | None
    budget_share: float
    schema: SchemaInput | None
    tolerance: float
    stop: str | Sequence[str] | None
    think: bool | None
    think_tokens: int
    tools: Sequence[ToolInput] | None
    tool_choice: str
    parallel_tool_calls: bool
    logprobs: int | None
    answers: int


DEFAULTS: AskOptions = {
    "max_tokens": 256,
    **asdict(Sampling()),  # type: ignore[typeddict-item]  # the settings of the same names
    "mode": None,
    "max_slices": None,
    "budget_ms": None,
    "budget_share": DEFAULT_SHARE,
    "schema": None,
    "tolerance": 0.0,
    "stop": None,
    "think": None,
    "think_tokens": 1024,
    "tools": None,
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "logprobs": None,
    "answers": 1,
}


def parse_request(
    images: QuestionImage | Sequence[QuestionImage] | None,
    question: str | Sequence[Message | Mapping[str, Any]] | Sequence[ToolResult],
    options: AskOptions,
    *,
    mode: Mode,
    modes: Sequence[Mode],
    max_slices: int | None,
) -> Request:
    """Check a question and its settings as `check_options` does; raises `PromptError` for an invalid question."""
    settings = check_options(options, mode=mode, modes=modes, max_slices=max_slices)
    sources = as_tuple(images)
    if isinstance(question, list | tuple) and question and not isinstance(question[0], ToolResult):
        question, sources = read_messages(cast("Sequence[Message | Mapping[str, Any]]", question), sources)
    return Request(images=sources, question=cast("str | Sequence[Message]", question), **vars(settings))


def check_options(
    options: AskOptions,
    *,
    mode: Mode = "16x",
    modes: Sequence[Mode] = ("16x", "4x"),
    max_slices: int | None = None,
) -> Settings:
    """Check the settings of a question; `mode` and `max_slices` are used where the settings have none.

    `modes` are all that the bundle has.

    Raises `TypeError` for a setting that does not exist, as Python does for a keyword,
    `OptionError` for an invalid value, and `SchemaError` for a schema that no answer can fit.
    """
    for name in options:
        if name not in DEFAULTS:
            raise TypeError(f"got an unexpected keyword argument {name!r}; a question takes {', '.join(DEFAULTS)}")
    given: dict[str, Any] = {**DEFAULTS, **options}
    return Settings(
        sampling=Sampling(**{field.name: given[field.name] for field in fields(Sampling)}),
        max_tokens=given["max_tokens"],
        mode=given["mode"] or mode,
        max_slices=max_slices if given["max_slices"] is None else given["max_slices"],
        budget=_parse_budget(given, modes),
        schema=_parse_schema(given["schema"]),
        stops=parse_stops(given["stop"]),
        tolerance=given["tolerance"],
        think=given["think"],
        think_tokens=given["think_tokens"],
        logprobs=given["logprobs"],
        answers=given["answers"],
        tools=_parse_tools(given["tools"], given["tool_choice"], several=given["parallel_tool_calls"]),
    )


def _parse_budget(given: Mapping[str, Any], modes: Sequence[Mode]) -> Budget | None:
    """Check the share without a time too, so that a wrong one is noticed."""
    mode, milliseconds = given["mode"], given["budget_ms"]
    allowed = tuple(modes) if mode is None else (mode,)
    budget = Budget(1.0 if milliseconds is None else milliseconds, allowed, given["budget_share"])
    return None if milliseconds is None else budget


def _parse_schema(schema: SchemaInput | None) -> AnswerSchema | None:
    if schema is None:
        return None
    from uhd_edge.runtime.schema.answer_schema import answer_schema  # which most questions do without

    return answer_schema(schema)


def _parse_tools(tools: Sequence[ToolInput] | None, choice: str, *, several: bool) -> ToolSet:
    if tools is None and choice == "auto" and several is True:
        return NO_TOOLS
    from uhd_edge.runtime.tools.given_tools import parse_tools  # which most questions do without

    return parse_tools(tools, choice, several=several)


def as_tuple(images: QuestionImage | Sequence[QuestionImage] | None) -> tuple[QuestionImage, ...]:
    """Return no, one or several images as a tuple; several are a list or a tuple, but (image, "4x") is one."""
    if images is None:
        return ()
    if isinstance(images, tuple) and len(images) == 2 and isinstance(images[1], str) and images[1] in get_args(Mode):
        return (cast("QuestionImage", images),)
    if isinstance(images, list | tuple):
        return tuple(images)
    return (cast("QuestionImage", images),)  # whatever else it is, loading it says so
