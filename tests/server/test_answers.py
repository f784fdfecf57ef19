"""The official client gets from `uhd serve` what `Assistant.ask` answers."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import openai
import pytest
from support.running_server import CHAT, CODE, EXAMPLES, Running, asked, data_uri, part_of, running

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.prompt.messages import ImagePart, Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Iterator

QUESTIONS = [
    (["bench.png"], CODE),
    (["sliced.jpg"], "What is labelled FEC?"),
    (["wide.png"], "Which object is the leftmost?"),
    (["bench.png", "wide.png"], "Describe the scene."),
    ([], "Describe the scene."),
]
SCHEMA = {"type": "object", "properties": {"code": {"type": "string", "maxLength": 5}}, "required": ["code"]}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as server:
        yield server


def messages(files: list[str], question: str) -> Any:
    parts = [part_of((EXAMPLES / file).read_bytes()) for file in files]
    return [{"role": "user", "content": [*parts, part_of(f"?{question}")]}]


@pytest.mark.parametrize(("files", "question"), QUESTIONS)
def test_an_answer_is_that_of_the_assistant(
    client: openai.OpenAI, assistant: Assistant, files: list[str], question: str
) -> None:
    expected = assistant.ask([EXAMPLES / file for file in files], question)
    completion = client.chat.completions.create(model="uhd-tiny", messages=messages(files, question))
    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == (expected.text, expected.finish_reason)
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == expected.usage.prompt_tokens
    assert completion.usage.completion_tokens == expected.usage.completion_tokens
    assert completion.model == "uhd-tiny"


def test_a_conversation_sent_again_is_read_from_where_it_goes_on(client: openai.OpenAI, assistant: Assistant) -> None:
    said, told, cached = messages(["sliced.jpg"], "What is labelled FEC?"), [], []
    for question in ("Describe the scene.", "Which object is the leftmost?", ""):
        answer = client.chat.completions.create(model="uhd-tiny", messages=said)
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is not None
        cached.append(answer.usage.prompt_tokens_details.cached_tokens or 0)
        told.append(answer.choices[0].message.content)
        said += [{"role": "assistant", "content": told[-1]}, {"role": "user", "content": question}]
    with assistant.session(EXAMPLES / "sliced.jpg") as session:
        questions = ("What is labelled FEC?", "Describe the scene.", "Which object is the leftmost?")
        assert told == [session.ask(question).text for question in questions]
    assert 100 < cached[1] < cached[2]


@pytest.mark.parametrize(("files", "question"), QUESTIONS)
def test_a_stream_is_the_answer_in_pieces(
    client: openai.OpenAI, assistant: Assistant, files: list[str], question: str
) -> None:
    expected = assistant.ask([EXAMPLES / file for file in files], question)
    stream = client.chat.completions.create(
        model="uhd-tiny", messages=messages(files, question), stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(pieces) == expected.text
    assert len([piece for piece in pieces if piece]) > 1
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + [expected.finish_reason]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == expected.usage.prompt_tokens + expected.usage.completion_tokens
    assert len({chunk.id for chunk in [*chunks, last]}) == 1


def test_a_stream_without_usage_has_none(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="uhd-tiny", messages=messages([], "Describe."), stream=True)
    assert all(chunk.usage is None and chunk.choices for chunk in stream)


def test_a_conversation_keeps_its_turns_and_places(client: openai.OpenAI, assistant: Assistant) -> None:
    bench, wide = ((EXAMPLES / name).read_bytes() for name in ("bench.png", "wide.png"))
    given: Any = [
        {"role": "system", "content": "You look closely."},
        {"role": "user", "content": [part_of("?Look:"), part_of(bench), part_of(f"?{CODE}")]},
        {"role": "assistant", "content": "JX7"},
        {"role": "user", "content": [part_of(wide), part_of("?Which object is the leftmost?")]},
    ]
    conversation = [
        Message("system", (TextPart("You look closely."),)),
        Message("user", (TextPart("Look:"), ImagePart(), TextPart(CODE))),
        Message("assistant", (TextPart("JX7"),)),
        Message("user", (ImagePart(), TextPart("Which object is the leftmost?"))),
    ]
    expected = assistant.ask([bench, wide], conversation)
    completion = client.chat.completions.create(model="uhd-tiny", messages=given)
    assert completion.choices[0].message.content == expected.text
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == expected.usage.prompt_tokens
    given[0]["role"] = "developer"
    again = client.chat.completions.create(model="uhd-tiny", messages=given)
    assert again.usage is not None
    assert again.usage.prompt_tokens == completion.usage.prompt_tokens


def test_an_answer_can_be_sent_back_as_it_came(client: openai.OpenAI) -> None:
    given = messages(["bench.png"], CODE)
    first = client.chat.completions.create(model="uhd-tiny", messages=given)
    given += [first.choices[0].message, {"role": "user", "content": CODE}]
    again = client.chat.completions.create(model="uhd-tiny", messages=given)
    assert first.usage is not None
    assert again.usage is not None
    assert again.usage.prompt_tokens > first.usage.prompt_tokens


def test_settings_are_those_of_the_assistant(server: Running, assistant: Assistant) -> None:
    settings: dict[str, Any] = {"temperature": 1.5, "top_p": 0.9, "seed": 3, "top_k": 30, "min_p": 0.01}
    settings |= {"repetition_penalty": 1.1, "mode": "4x", "max_slices": 2}
    sliced = EXAMPLES / "sliced.jpg"
    for name in ("max_tokens", "max_completion_tokens"):
        body = asked(data_uri(sliced.read_bytes(), "image/jpeg"), "?Describe the scene.", **settings, **{name: 9})
        reply = server.request("POST", CHAT, body).json
        expected = assistant.ask(sliced, "Describe the scene.", max_tokens=9, **settings)
        assert reply["choices"][0]["message"]["content"] == expected.text
        assert reply["usage"]["vision_tokens"] == expected.usage.vision_tokens


def test_an_image_may_have_a_mode_of_its_own(server: Running, assistant: Assistant) -> None:
    files = [EXAMPLES / "bench.png", EXAMPLES / "wide.png"]
    parts: list[Any] = [part_of(file.read_bytes()) for file in files]
    parts[0]["image_url"]["mode"] = "4x"
    body = {"model": "uhd-tiny", "messages": [{"role": "user", "content": [*parts, part_of("?Describe the scene.")]}]}
    reply = server.request("POST", CHAT, body).json
    expected = assistant.ask([(files[0], "4x"), files[1]], "Describe the scene.")
    assert reply["choices"][0]["message"]["content"] == expected.text
    assert reply["usage"]["vision_tokens"] == expected.usage.vision_tokens
    parts[0]["image_url"]["mode"] = "5x"
    assert server.request("POST", CHAT, body).status == 400


def test_the_ways_to_write_a_data_uri_are_one(server: Running) -> None:
    data = base64.b64encode((EXAMPLES / "bench.png").read_bytes()).decode()
    lines = "\n".join(data[start : start + 76] for start in range(0, len(data), 76))
    escaped = data.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    for uri in (f"DATA:;BASE64,{data}", f"data:image/jpeg;name=x;base64,{lines}", f"data:image/png;base64,{escaped}"):
        reply = server.request("POST", CHAT, asked(uri, f"?{CODE}"))
        assert reply.json["choices"][0]["message"]["content"] == "JX7"


def test_a_stop_ends_the_answer(client: openai.OpenAI) -> None:
    for streaming in (False, True):
        given = {"model": "uhd-tiny", "messages": messages(["bench.png"], CODE), "stop": ["7"], "stream": streaming}
        completion: Any = client.chat.completions.create(**given)
        if streaming:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in completion)
        else:
            text = completion.choices[0].message.content
        assert text == "JX"


def test_an_answer_keeps_to_a_json_schema(client: openai.OpenAI, assistant: Assistant) -> None:
    expected = assistant.ask(EXAMPLES / "bench.png", CODE, schema=SCHEMA)
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "code", "schema": SCHEMA, "strict": True}}
    completion = client.chat.completions.create(
        model="uhd-tiny", messages=messages(["bench.png"], CODE), response_format=wanted
    )
    assert json.loads(completion.choices[0].message.content or "") == expected.parsed
    anything = client.chat.completions.create(
        model="uhd-tiny",
        messages=messages(["bench.png"], CODE),
        response_format={"type": "json_object"},
        max_tokens=400,
    ).choices[0]
    if anything.finish_reason == "stop":
        assert isinstance(json.loads(anything.message.content or ""), dict)


def test_json_that_is_cut_off_ends_with_length(client: openai.OpenAI) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "code", "schema": SCHEMA}}
    for streaming in (False, True):
        given = {"model": "uhd-tiny", "messages": messages(["bench.png"], CODE), "response_format": wanted}
        completion: Any = client.chat.completions.create(**given, max_tokens=3, stream=streaming)
        last = list(completion)[-1] if streaming else completion
        assert last.choices[0].finish_reason == "length"


def test_whole_json_that_breaks_a_rule_beyond_grammars_is_no_answer(client: openai.OpenAI) -> None:
    twice = {"type": "array", "items": {"const": 1}, "uniqueItems": True, "minItems": 2, "maxItems": 2}
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "twice", "schema": twice}}
    given = {"model": "uhd-tiny", "messages": messages([], CODE)}
    said = r"does not fit the schema.*\[1 ?, ?1 ?\]"
    with pytest.raises(openai.BadRequestError, match=said):
        client.chat.completions.create(**given, response_format=wanted)
    with pytest.raises(openai.APIError, match=said):
        list(client.chat.completions.create(**given, response_format=wanted, stream=True))
    with pytest.raises(openai.BadRequestError, match=said):
        client.responses.create(
            model="uhd-tiny", input=CODE, text={"format": {"type": "json_schema", "name": "twice", "schema": twice}}
        )


def test_there_is_one_model(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["uhd-tiny"]
    assert client.models.retrieve("uhd-tiny").id == "uhd-tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")
    with pytest.raises(openai.NotFoundError, match="model 'gpt-4' not found; this server has 'uhd-tiny'"):
        client.chat.completions.create(model="gpt-4", messages=messages([], "Hello?"))


def test_health_and_numbers(server: Running) -> None:
    assert server.request("GET", "/health").json == {"status": "ok"}
    ok = f'uhd_requests_total{{path="{CHAT}",status="200"}}'
    before, encoded = server.metric(ok), server.metric('uhd_views_total{source="encoder"}')
    reused = server.metric('uhd_views_total{source="cache"}')
    image = (EXAMPLES / "wide.png").read_bytes()
    for _ in range(2):
        assert server.request("POST", CHAT, asked(image, "?What is this?", mode="4x")).status == 200
    assert server.metric(ok) == before + 2
    views = server.metric('uhd_views_total{source="encoder"}') - encoded
    assert views == server.metric('uhd_views_total{source="cache"}') - reused > 0
    assert server.metric('uhd_tokens_total{kind="vision"}') > 0
    assert server.metric('uhd_stage_seconds_total{stage="encoder"}') > 0
    assert server.metric("uhd_queue_depth") == 0
