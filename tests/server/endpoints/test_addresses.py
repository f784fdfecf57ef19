"""Which addresses there are, what else is said to be missing, and that all of them are guarded alike."""

from __future__ import annotations

import re

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
    assert server.request("GET", path).status == 405
    for body in (b"{", b"[]", b"\xff", b"[" * 100_000):
        reply = server.request("POST", path, body)
        assert reply.status == 400
        assert isinstance(reply.json["error"], str if path.startswith("/api/") else dict)


def test_the_document_describes_addresses_that_are_there(server: Running) -> None:
    reply = server.request("GET", "/openapi.json")
    document = reply.json
    for path, methods in document["paths"].items():
        for method in methods:
            assert server.request(method.upper(), path, {} if method == "post" else None).status in (200, 400)
    used = set(re.findall(r'"#/components/schemas/([^"]+)"', reply.body.decode()))
    assert used == set(document["components"]["schemas"])


def test_requests_and_replies_are_as_the_document_says(server: Running) -> None:
    document = server.request("GET", "/openapi.json").json
    described = document["paths"][QUESTIONS[0]]["post"]
    body = asked("?What?", model=server.request("GET", "/v1/models").json["data"][0]["id"], max_tokens=3)
    content = described["responses"]["200"]["content"]["application/json"]
    for schema, instance in (
        (described["requestBody"]["content"]["application/json"]["schema"], body),
        (content["schema"], server.request("POST", QUESTIONS[0], body).json),
        ({"$ref": "#/components/schemas/Error"}, server.request("POST", QUESTIONS[0], {}).json),
    ):
        jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(instance)
