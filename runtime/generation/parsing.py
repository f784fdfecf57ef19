"""The value of an answer by a schema, or what kept it from being one: beside tools that may also be a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.tools.call_format import find_begun_call

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.conversation.request import Settings


def parse_answer(answer: Answer, settings: Settings) -> Any:
    """Return the value of an answer by the settings' schema, None for calls and where no schema is.

    Raises `SchemaError`, which carries the answer, for one that does not fit, and for a call that cannot be read.
    """
    if settings.schema is None or answer.tool_calls:
        return None
    if settings.tools.callable and (told := _why_no_call(answer)):
        raise SchemaError(told, answer)
    return settings.schema.parsed(answer)


def _why_no_call(answer: Answer) -> str:
    """Say why the call that an answer has begun is none; empty where it has begun none."""
    begun = find_begun_call(answer.text)
    if not begun:
        return ""
    if answer.finish_reason == "length":
        told = f"the answer was cut off after {answer.usage.completion_tokens} tokens, before its call was complete"
        return f"{told}; raise --max-tokens: {begun}"
    advice = "describe simpler parameters, or ask again with a temperature and another seed"
    return f"the answer is a call of a tool that cannot be read; {advice}: {begun}"
