"""What a model thinks, and which functions it wants called, as OpenAI's clients read it."""

from __future__ import annotations

import json
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from uhd_edge.runtime.answer import Answer, ToolCall, Usage
from uhd_edge.server.openai.replies import END_OF_EVENTS, Reply

CALLS = (ToolCall("move", {"metres": 1.5, "to": "Tür"}), ToolCall("stop", {}))
ANSWER = Answer("I go.", "stop", Usage(0, 5, 9, 0, 4), (), {}, "16x", thinking="Hm.", tool_calls=CALLS)
PLAIN = Answer("A cat.", "stop", Usage(0, 5, 9), (), {}, "16x")


def events(stream: bytes) -> list[Any]:
    assert stream.endswith(END_OF_EVENTS)
    lines = stream.removesuffix(END_OF_EVENTS).split(b"\n\n")
    return [json.loads(line.removeprefix(b"data: ")) for line in lines if line]


def test_a_completion_has_thoughts_and_calls() -> None:
    choice = ChatCompletion.model_validate(Reply("m").whole(ANSWER), strict=True).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I go.")
    assert choice.message.model_extra == {"reasoning_content": "Hm."}
    calls: Any = choice.message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        (call.name, call.arguments) for call in CALLS
    ]
    assert len({call.id for call in calls}) == 2


def test_a_completion_without_them_is_as_before() -> None:
    choice = Reply("m").whole(PLAIN)["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "A cat.", "refusal": None}
    assert choice["finish_reason"] == "stop"


def test_a_stream_has_thoughts_as_they_come_and_calls_at_its_end() -> None:
    reply = Reply("m", with_usage=True)
    stream = reply.first() + reply.thought("Hm.") + reply.piece("I go.") + reply.last(ANSWER)
    chunks = [ChatCompletionChunk.model_validate(one) for one in events(stream)]
    deltas: list[Any] = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[1].model_extra == {"reasoning_content": "Hm."}
    assert deltas[2].content == "I go."
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    assert [(call.index, call.type, call.function.name) for call in calls] == [
        (0, "function", "move"),
        (1, "function", "stop"),
    ]
    assert json.loads(calls[0].function.arguments) == CALLS[0].arguments
    assert chunks[-2].choices[0].finish_reason == "tool_calls"
    usage: Any = chunks[-1].usage
    assert usage.completion_tokens_details.reasoning_tokens == 4
