"""Which addresses there are, what else is said to be missing, and that all of them are guarded alike."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from support.running_server import CHAT, Running, asked

QUESTIONS = (CHAT, "/v1/responses", "/api/chat", "/api/generate")


def test_the_model_says_what_it_can_do(server: Running) -> None:
    (model,) = server.request("GET", "/v1/models").json["data"]
    assert model["capabilities"] == {
        "vision": True,
        "video": True,
        "tools": True,
        "thinking": True,
        "json_schema": True,
    }
    assert (model["context_length"], model["modes"]) == (4096, ["16x", "4x"])


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/completions", "/v1/audio/speech", "/v1/responses/resp_1"])
def test_what_other_servers_offer_is_said_to_be_missing(server: Running, path: str) -> None:
    reply = server.request("POST", path, {})
    assert (reply.status, reply.error["code"]) == (404, "not_offered")
    assert "answers questions at /v1/chat/completions" in reply.error["message"]


@pytest.mark.parametrize("path", QUESTIONS)
def test_every_address_of_questions_is_guarded(server: Running, path: str) -> None:
    assert server.request("POST", path, asked("?What?"), headers={"Host": "attacker.example"}).status == 403
    for method in ("GET", "OPTIONS", "PUT", "BREW"):
        refused = server.request(method, path)
        assert (refused.status, refused.headers["allow"]) == (405, "POST")
    for body in (b"{", b"[]", b"\xff", b"[" * 100_000):
        reply = server.request("POST", path, body)
        assert reply.status == 400
        assert isinstance(reply.json["error"], str if path.startswith("/api/") else dict)


def test_the_document_describes_addresses_that_are_there(server: Running) -> None:
    reply = server.request("GET", "/openapi.json")
    document = reply.json
    for path, methods in document["paths"].items():
        for method in methods:
            there = path.replace("{name}", "uhd-tiny")
            assert server.request(method.upper(), there, {} if method == "post" else None).status in (200, 400)
    used = set(re.findall(r'"#/components/schemas/([^"]+)"', reply.body.decode()))
    assert used == set(document["components"]["schemas"])


def test_the_document_describes_every_address_that_answers(server: Running) -> None:
    described = server.request("GET", "/openapi.json").json["paths"]
    assert {*QUESTIONS, "/", "/plan", "/v1/models", "/health", "/metrics"} < set(described)
    assert {path for path in described if path.startswith("/api/")} == {
        *("/api/chat", "/api/generate", "/api/show", "/api/tags", "/api/ps", "/api/version"),
    }
    for path, methods in described.items():
        unasked = server.request("POST" if "get" in methods else "GET", path, {})
        assert (unasked.status, *methods) in ((405, "get"), (405, "post"))


SAID = [{"role": "user", "content": "What?"}]
BODIES: dict[str, dict[str, Any]] = {
    CHAT: asked("?What?", max_tokens=3),
    "/v1/responses": {"model": "uhd-tiny", "input": "What?", "max_output_tokens": 3},
    "/api/chat": {"model": "uhd-tiny", "messages": SAID, "stream": False, "options": {"num_predict": 3}},
    "/api/generate": {"model": "uhd-tiny", "prompt": "What?", "stream": False, "options": {"num_predict": 3}},
    "/api/show": {"model": "uhd-tiny"},
}


@pytest.mark.parametrize("path", [*BODIES, "/api/tags", "/api/ps", "/api/version", "/v1/models", "/health", "/plan"])
def test_requests_and_replies_are_as_the_document_says(server: Running, path: str) -> None:
    document = server.request("GET", "/openapi.json").json
    (method,), (described,) = document["paths"][path], document["paths"][path].values()

    def check(schema: dict[str, Any], instance: Any) -> None:
        jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(instance)

    query = "?width=900&height=400&mode=4x" if path == "/plan" else ""
    reply = server.request(method.upper(), path + query, BODIES.get(path))
    assert reply.status == 200
    check(described["responses"]["200"]["content"]["application/json"]["schema"], reply.json)
    refused = server.request(method.upper(), path, BODIES.get(path), headers={"Host": "attacker.example"})
    assert refused.status == 403
    check(described["responses"]["default"]["content"]["application/json"]["schema"], refused.json)
    if method == "post":
        asking = described["requestBody"]["content"]["application/json"]["schema"]
        check(asking, BODIES[path])
        with pytest.raises(jsonschema.ValidationError):
            check(asking, {"model": 5})


@pytest.mark.parametrize("path", [CHAT, "/v1/responses"])
def test_events_are_as_the_document_says(server: Running, path: str) -> None:
    described = server.request("GET", "/openapi.json").json["paths"][path]["post"]["responses"]["200"]["content"]
    reply = server.request("POST", path, {**BODIES[path], "stream": True})
    assert reply.headers["content-type"].partition(";")[0] == "text/event-stream"
    events = [
        dict(line.split(": ", 1) for line in event.split("\n")) for event in reply.body.decode().split("\n\n")[:-1]
    ]
    assert len(events) > 3
    for event in events:
        jsonschema.Draft202012Validator(described["text/event-stream"]["schema"]).validate(event)
