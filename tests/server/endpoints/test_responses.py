"""`/v1/responses` as the official client uses it: the answers of the assistant, whole, streamed, parsed, with tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pytest
from pydantic import BaseModel, Field
from support.running_server import CODE, EXAMPLES, data_uri

if TYPE_CHECKING:
    from uhd_edge.runtime import Assistant

BENCH = EXAMPLES / "bench.png"
LOOK: list[Any] = [
    {"type": "input_image", "image_url": data_uri(BENCH.read_bytes()), "detail": "auto"},
    {"type": "input_text", "text": CODE},
]
ASKED: Any = [{"role": "user", "content": LOOK}]
TURN: Any = {
    "type": "function",
    "name": "turn",
    "parameters": {"type": "object", "properties": {"side": {"enum": ["left", "right"]}}, "required": ["side"]},
    "strict": True,
}
THINK: dict[str, Any] = {"think": True, "think_tokens": 12}


class Code(BaseModel):
    code: str = Field(max_length=5)


def create(client: openai.OpenAI, asked: Any = ASKED, **options: Any) -> Any:
    return client.responses.create(model="uhd-tiny", input=asked, **options)


def test_a_response_is_the_assistants_answer(client: openai.OpenAI, assistant: Assistant) -> None:
    expected = assistant.ask(BENCH, CODE)
    response = create(client)
    type(response).model_validate(response.model_dump(), strict=True)
    assert (response.output_text, response.status) == (expected.text, "completed")
    assert response.usage.input_tokens == expected.usage.prompt_tokens
    assert response.usage.output_tokens == expected.usage.completion_tokens
    assert create(client, "Describe the scene.").output_text == assistant.ask("Describe the scene.").text


def test_a_conversation_goes_on_with_the_items_that_came(client: openai.OpenAI) -> None:
    first = create(client, instructions="You look closely.", max_output_tokens=2)
    assert (first.status, first.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    again = create(client, [*ASKED, *first.output, {"role": "user", "content": CODE}])
    written = [{"role": "assistant", "content": first.output_text}, {"role": "user", "content": CODE}]
    assert again.usage.input_tokens == create(client, [*ASKED, *written]).usage.input_tokens


@pytest.mark.parametrize("options", [{}, {"extra_body": THINK}])
def test_a_stream_builds_the_response_up(client: openai.OpenAI, assistant: Assistant, options: dict[str, Any]) -> None:
    expected = assistant.ask(BENCH, CODE, **options.get("extra_body", {}))
    events = list(create(client, stream=True, **options))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    texts = [event.delta for event in events if event.type == "response.output_text.delta"]
    thoughts = [event.delta for event in events if event.type == "response.reasoning_text.delta"]
    assert ("".join(texts), "".join(thoughts)) == (expected.text, expected.thinking)
    added = [event.item.type for event in events if event.type == "response.output_item.added"]
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert added == [item.type for item in done] == [item.type for item in events[-1].response.output]
    assert events[-1].response.output_text == expected.text
    with client.responses.stream(model="uhd-tiny", input=ASKED, **options) as stream:
        stream.until_done()
        assert stream.get_final_response().output_text == expected.text


def test_an_answer_is_parsed(client: openai.OpenAI) -> None:
    response = client.responses.parse(model="uhd-tiny", input=ASKED, text_format=Code)
    assert isinstance(response.output_parsed, Code)
    assert json.loads(response.output_text) == response.output_parsed.model_dump()


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "turn"}])
def test_a_call_and_its_result_are_a_conversation(client: openai.OpenAI, choice: Any) -> None:
    options: dict[str, Any] = {"tools": [TURN], "max_output_tokens": 120}
    response = create(client, tool_choice=choice, **options)
    (call,) = response.output
    assert (call.type, call.name, json.loads(call.arguments)["side"] in ("left", "right")) == (
        "function_call",
        "turn",
        True,
    )
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "done"}
    after = create(client, [*ASKED, *response.output, result], tool_choice="none", **options)
    assert after.usage.input_tokens > response.usage.input_tokens
    streamed = list(create(client, stream=True, tool_choice=choice, **options))
    (arguments,) = [event.arguments for event in streamed if event.type == "response.function_call_arguments.done"]
    assert arguments == call.arguments
    assert streamed[-1].response.output[0].arguments == call.arguments


def test_probabilities_come_with_the_text(client: openai.OpenAI, assistant: Assistant) -> None:
    expected = assistant.ask(BENCH, CODE, logprobs=2)
    response = create(client, include=["message.output_text.logprobs"], top_logprobs=2)
    found = response.output[0].content[0].logprobs
    assert [token.logprob for token in found] == [token.logprob for token in expected.logprobs]


def test_limits_of_tokens_by_several_names_count_where_they_say_the_same(client: openai.OpenAI) -> None:
    with client.with_streaming_response.responses.create(
        model="uhd-tiny", input=ASKED, max_output_tokens=2, extra_body={"max_completion_tokens": 2, "max_tokens": 2}
    ) as reply:
        response = reply.parse()
        assert (response.usage.output_tokens, response.max_output_tokens) == (2, 2)
        assert "X-UHD-Ignored" not in reply.headers


@pytest.mark.parametrize("named", ["max_completion_tokens", "max_tokens"])
def test_two_limits_of_tokens_that_differ_are_refused_and_both_are_named(client: openai.OpenAI, named: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, max_output_tokens=2, extra_body={named: 9})
    assert refused.value.param == named
    assert "max_output_tokens" in refused.value.message
    assert named in refused.value.message


@pytest.mark.parametrize("longest", [0, "5"])
def test_a_limit_of_tokens_that_is_none_is_refused_by_its_name(client: openai.OpenAI, longest: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, max_output_tokens=longest)
    assert refused.value.param == "max_output_tokens"


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools.0"),
        ({"asked": [{"type": "item_reference", "id": "x"}]}, "input.0"),
        ({"asked": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]}, "input.0.content.0"),
        ({"asked": []}, "input"),
        ({"asked": [{"type": "reasoning", "summary": 5}]}, "input.0.summary"),
    ],
)
def test_what_is_not_kept_or_run_here_is_refused(client: openai.OpenAI, options: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        create(client, **options)
    assert refused.value.param == param
