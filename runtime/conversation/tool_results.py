"""The results of calls, given in a session in place of a question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import PromptError
from uhd_edge.runtime.prompt.messages import ToolResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.conversation.turns import Turn


def order_results(results: object, turns: Sequence[Turn]) -> tuple[ToolResult, ...]:
    """Return results in the order of the last turn's calls; raises `PromptError` unless there is one for each."""
    if not isinstance(results, list | tuple) or not results or not all(isinstance(one, ToolResult) for one in results):
        raise PromptError(
            f"the question is {type(results).__name__}; in a session it must be a string, or a list of `ToolResult`s"
        )
    calls = turns[-1].tool_calls if turns else ()
    if not calls:
        raise PromptError("there are results, but the answer before has no calls; ask a question")
    given, ordered = list(results), []
    for call in calls:
        number = next((number for number, one in enumerate(given) if one.call == call), None)
        if number is None:
            raise PromptError(f"there is no result of {call.name}; give one `ToolResult` for each call of the answer")
        ordered.append(given.pop(number))
    if given:
        raise PromptError(f"the result of {given[0].call.name} belongs to no call of the answer before")
    return tuple(ordered)
