"""Ollama's API as its official client uses it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import ollama
import pytest
from support.running_server import CODE, EXAMPLES, Running

if TYPE_CHECKING:
    from uhd_edge.runtime import Assistant, Bundle

BENCH = EXAMPLES / "bench.png"
ASKED: Any = [{"role": "user", "content": CODE, "images": [str(BENCH)]}]
SCHEMA = {"type": "object", "properties": {"code": {"type": "string", "maxLength": 5}}, "required": ["code"]}


def turn(side: str) -> str:
    """Turn.

    Args:
        side: Where to.
    """
    return f"turned {side}"


@pytest.fixture(scope="module")
def client(server: Running) -> ollama.Client:
    return ollama.Client(server.url, timeout=60)


def test_a_chat_is_answered_by_the_assistant(client: ollama.Client, assistant: Assistant) -> None:
    expected = assistant.ask(BENCH, CODE)
    reply = client.chat("uhd-tiny", ASKED, options={"num_ctx": 4096, "temperature": 0})
    assert (reply.message.content, reply.done, reply.done_reason) == (expected.text, True, "stop")
    assert (reply.prompt_eval_count, reply.eval_count) == (
        expected.usage.prompt_tokens,
        expected.usage.completion_tokens,
    )
    assert 0 < (reply.eval_duration or 0) < (reply.total_duration or 0)
    pieces = list(client.chat("uhd-tiny:latest", ASKED, stream=True))
    assert "".join(piece.message.content or "" for piece in pieces) == expected.text
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]


def test_a_prompt_is_answered_by_the_assistant(client: ollama.Client, assistant: Assistant) -> None:
    expected = assistant.ask(BENCH, CODE)
    assert client.generate("uhd-tiny", CODE, images=[BENCH.read_bytes()]).response == expected.text
    pieces = client.generate("uhd-tiny", CODE, images=[BENCH.read_bytes()], stream=True)
    assert "".join(piece.response for piece in pieces) == expected.text
    settings: Any = {"temperature": 1.5, "seed": 7, "top_k": 30, "num_predict": 9, "repeat_penalty": 1.1}
    drawn = assistant.ask(
        "Describe.", temperature=1.5, seed=7, top_k=30, max_tokens=9, repetition_penalty=1.1, think=False
    )
    assert client.generate("uhd-tiny", "Describe.", options=settings).response == drawn.text


@pytest.mark.parametrize(
    ("kept", "reason"),
    [(0, "unload"), ("0", "unload"), ("0s", "unload"), ("0h0m0.0s", "unload"), (0.5, "load"), ("5m", "load")],
)
def test_asking_nothing_loads_the_model_or_unloads_what_is_kept_for_no_time(
    client: ollama.Client, kept: Any, reason: str
) -> None:
    assert client.generate("uhd-tiny", "").done_reason == "load"
    assert client.generate("uhd-tiny", keep_alive=kept).done_reason == reason
    assert client.chat("uhd-tiny", [], keep_alive=kept).done_reason == reason
    assert client.chat("uhd-tiny", ASKED, keep_alive=kept).done_reason == "stop"


@pytest.mark.parametrize("nothing", [None, "", []])
def test_what_asks_for_nothing_is_left_out(server: Running, nothing: Any) -> None:
    thought = {"thinking": nothing if nothing == "" else None, "tool_calls": None if nothing == "" else nothing}
    said = {"role": "assistant", "content": "x", "images": None if nothing == "" else nothing, **thought}
    more: dict[str, Any] = {"format": "" if nothing == [] else nothing, "options": None, "tools": None, "stream": False}
    body = {"model": "uhd-tiny", "messages": [said, {"role": "user", "content": CODE}], **more}
    reply = server.request("POST", "/api/chat", body)
    assert (reply.status, reply.json["done"]) == (200, True), reply.json


def test_a_repetition_penalty_of_zero_is_none(client: ollama.Client, assistant: Assistant) -> None:
    """Open WebUI sends it in place of a frequency penalty of zero."""
    expected = assistant.ask("Describe.", max_tokens=9).text
    settings: Any = {"repeat_penalty": 0.0, "num_predict": 9}
    assert client.generate("uhd-tiny", "Describe.", options=settings).response == expected


def test_thoughts_calls_and_schemas_are_ollamas(client: ollama.Client, assistant: Assistant) -> None:
    thought = client.chat("uhd-tiny", ASKED, think=True).message
    assert (thought.content, thought.thinking) == (
        (expected := assistant.ask(BENCH, CODE, think=True)).text,
        expected.thinking,
    )
    thoughts = [piece.message.thinking or "" for piece in client.chat("uhd-tiny", ASKED, think="high", stream=True)]
    assert "".join(thoughts) == expected.thinking
    shaped = client.chat("uhd-tiny", ASKED, format=SCHEMA).message.content or ""
    assert json.loads(shaped) == assistant.ask(BENCH, CODE, schema=SCHEMA, think=False).parsed
    called = client.chat("uhd-tiny", ASKED, tools=[turn], options={"num_predict": 60})
    assert called.message.role == "assistant"
    sent_back = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "turn", "arguments": {"side": "left"}}}],
    }
    result = {"role": "tool", "tool_name": "turn", "content": "turned left"}
    again = client.chat("uhd-tiny", [*ASKED, sent_back, result], tools=[turn], options={"num_predict": 5})
    assert (again.prompt_eval_count or 0) > (called.prompt_eval_count or 0)


def test_the_model_is_listed_with_what_it_can_do(client: ollama.Client) -> None:
    assert [model.model for model in client.list().models] == ["uhd-tiny"]
    shown = client.show("uhd-tiny:latest")
    assert shown.capabilities == ["completion", "vision", "tools", "thinking"]
    assert (shown.modelinfo or {})["qwen3.context_length"] == 4096
    assert [model.model for model in client.ps().models] == ["uhd-tiny"]


def test_the_model_is_listed_with_the_size_the_age_and_a_digest_of_its_files(
    client: ollama.Client, bundle: Bundle
) -> None:
    files = sorted(path for path in bundle.path.rglob("*") if path.is_file() and path.name != "bundle.json")
    sums = subprocess.run(
        ["sha256sum", *(str(path.relative_to(bundle.path)) for path in files)],
        cwd=bundle.path,
        capture_output=True,
        check=True,
    )
    for (model,) in (client.list().models, client.ps().models):
        assert model.size == sum(path.stat().st_size for path in files)
        assert model.digest == hashlib.sha256(sums.stdout).hexdigest()
        assert model.details is not None
        assert (model.details.family, model.details.quantization_level) == ("qwen3", "Q8_0")
    written = datetime.fromtimestamp((bundle.path / "bundle.json").stat().st_mtime, timezone.utc)
    assert client.list().models[0].modified_at == written


def test_only_the_model_that_there_is_can_be_shown(client: ollama.Client, server: Running) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'llama3' not found") as refused:
        client.show("llama3")
    assert refused.value.status_code == 404
    for body in ({}, {"model": 5}, [], b"{", b"x" * 100_000):
        reply = server.request("POST", "/api/show", body)
        assert (reply.status, type(reply.json["error"])) == (413 if len(body) > 9 else 400, str)
    assert server.request("POST", "/api/show", {"name": "uhd-tiny"}).status == 200


def test_a_client_sees_that_the_server_runs(server: Running) -> None:
    assert server.request("HEAD", "/").status == 200


@pytest.mark.parametrize(
    ("asking", "said"),
    [
        (lambda client: client.chat("llama3", ASKED), "model 'llama3' not found"),
        (lambda client: client.embed("uhd-tiny", "x"), "does not offer /api/embed"),
        (lambda client: client.pull("llama3"), "does not offer /api/pull"),
        (lambda client: client.generate("uhd-tiny", "x", raw=True), "raw is not supported"),
        (lambda client: client.chat("uhd-tiny", ASKED, options={"mirostat": 1}), "mirostat is not supported"),
        (lambda client: client.chat("uhd-tiny", [{"role": "user", "content": "x", "images": [b"x" * 99]}]), "image"),
    ],
)
def test_what_there_is_not_is_said_in_a_line(client: ollama.Client, asking: Any, said: str) -> None:
    with pytest.raises(ollama.ResponseError, match=said) as refused:
        asking(client)
    assert refused.value.status_code in (400, 404)
