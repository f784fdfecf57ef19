"""What can be set for one question: named once, for every way of asking."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypedDict, cast

from uhd_edge.runtime.conversation.request import Budget, Request
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.llm.stopping import stops_of
from uhd_edge.runtime.modes import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.images.video import MediaInput
    from uhd_edge.runtime.prompt.layout import Message
    from uhd_edge.runtime.schema.answer_schema import AnswerSchema, SchemaInput

MAX_TOKENS = 256


class AskOptions(TypedDict, total=False):
    """Settings of one question; what is left out keeps the default that stands behind it.

    `max_tokens` (256) is the most tokens of the answer. `temperature` (0, always the
    likeliest token), `top_k` (0, off), `top_p` (1), `min_p` (0), `repetition_penalty` (1)
    and `seed` (0) choose the tokens, see `Sampling`. `mode` ("16x" or "4x") and `max_slices`
    are those of the assistant where they are None.

    `budget_ms` (None) is the time in milliseconds that the first token may take from the
    question on: `mode` (where it is not given) and the number of slices (up to `max_slices`)
    are then chosen so that it is kept, see `Answer.plan`. The first question with a budget
    measures the machine, which takes seconds and is not counted; see `Assistant.measure`.

    `schema` (None) makes the answer JSON of a stated shape: a JSON schema, its text, or a
    pydantic model's class, see `answer_schema`, whose result is taken too and saves
    preparing the same schema for every question. What the text was read into is
    `Answer.parsed`. The model is not told of the schema: the question should say what is
    wanted. An answer that does not fit, as one that was cut off at `max_tokens`, raises
    `SchemaError`, at the end where it is streamed.

    `tolerance` (0) lets views of a noisy camera be seen as those before, in grey levels, see
    `VisionEncoder.encode`.

    `stop` (None) is a text, or up to 16, before the first of which the answer ends.
    """

    max_tokens: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    seed: int
    mode: Mode | None
    max_slices: int | None
    budget_ms: float | None
    schema: SchemaInput | None
    tolerance: float
    stop: str | Sequence[str] | None


def request_of(
    images: MediaInput | Sequence[MediaInput] | None,
    question: str | Sequence[Message],
    options: AskOptions,
    *,
    mode: Mode,
    modes: Sequence[Mode],
    max_slices: int | None,
) -> Request:
    """Check the settings of a question and put them together; `mode` and `max_slices` are those it gets without.

    `modes` are all that there are.

    Raises `TypeError` for a setting that does not exist, as Python does for a keyword,
    `OptionError` for a value that makes no sense, and `PromptError` for a question that is
    no string, and `SchemaError` for a schema that no answer can keep to.
    """
    given: dict[str, Any] = dict(options)
    for name in given:
        if name not in AskOptions.__annotations__:
            raise TypeError(
                f"got an unexpected keyword argument {name!r}; a question takes {', '.join(AskOptions.__annotations__)}"
            )
    chosen = options.get("max_slices")
    return Request(
        as_tuple(images),
        question,
        Sampling(**{field.name: given[field.name] for field in fields(Sampling) if field.name in given}),
        options.get("max_tokens", MAX_TOKENS),
        options.get("mode") or mode,
        max_slices if chosen is None else chosen,
        _budget_of(options, modes),
        _schema_of(options),
        stops_of(options.get("stop")),
        options.get("tolerance", 0.0),
    )


def _budget_of(options: AskOptions, modes: Sequence[Mode]) -> Budget | None:
    milliseconds = options.get("budget_ms")
    if milliseconds is None:
        return None
    mode = options.get("mode")
    return Budget(milliseconds, tuple(modes) if mode is None else (mode,))


def _schema_of(options: AskOptions) -> AnswerSchema | None:
    schema = options.get("schema")
    if schema is None:
        return None
    from uhd_edge.runtime.schema.answer_schema import answer_schema  # which most questions do without

    return answer_schema(schema)


def as_tuple(images: MediaInput | Sequence[MediaInput] | None) -> tuple[MediaInput, ...]:
    """Return no, one or several images as a tuple; several are a list or a tuple."""
    if images is None:
        return ()
    if isinstance(images, list | tuple):
        return tuple(images)
    return (cast("MediaInput", images),)  # whatever else it is, loading it says so
