"""Paths, hosts and tokens that are not let in."""

from __future__ import annotations

import gzip
import json
import socket
from typing import TYPE_CHECKING, Any

import openai
import pytest
from support.running_server import CHAT, Running, about_the_bench, running

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "let me in 42"


def test_other_paths_and_methods_are_refused_in_the_same_shape(server: Running) -> None:
    refused = server.request("GET", CHAT)
    assert (refused.status, refused.headers["allow"], refused.error["type"]) == (405, "POST", "invalid_request_error")
    for method, path in [("POST", "/v1/completions"), ("GET", "/docs"), ("POST", "/v1/chat")]:
        reply = server.request(method, path)
        assert (reply.status, reply.error["type"]) == (404, "invalid_request_error")
    assert server.request("POST", "/health").status == 405


def test_a_web_page_of_another_site_is_not_answered(server: Running) -> None:
    for host in ("attacker.example", f"attacker.example:{server.address[1]}", "127.0.0.1.attacker.example", ""):
        for path in ("/health", "/metrics", CHAT):
            assert server.request("POST" if path == CHAT else "GET", path, headers={"Host": host}).status == 403
    assert server.request("GET", "/health", headers={"Host": "localhost:1"}).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_page_may_send_unasked_is_not_answered(server: Running, kind: str) -> None:
    """A browser asks permission (CORS) for other content types than these, and always says where a body is from."""
    for path in (CHAT, "/v1/responses", "/api/chat", "/api/generate"):
        for sent in ({"Origin": "https://attacker.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            headers = {"Content-Type": kind, **sent}
            assert server.request("POST", path, about_the_bench(), headers=headers).status == 415


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded"])
def test_a_program_may_leave_out_the_content_type(server: Running, kind: str) -> None:
    reply = server.request("POST", CHAT, about_the_bench(), headers={"Content-Type": kind})
    assert reply.json["choices"][0]["message"]["content"] == "JX7"


def test_only_requests_to_allowed_names_are_answered_at_all_addresses_of_a_machine() -> None:
    with running("--host", "0.0.0.0", "--allow-host", "Robot.local") as server:
        for host, status in [("robot.local:80", 200), ("localhost", 200), ("attacker.example", 403), ("10.0.0.9", 403)]:
            assert server.request("GET", "/health", headers={"Host": host}).status == status


def test_behind_a_body_with_two_lengths_no_request_is_hidden(server: Running) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    hidden = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    sent = f"{head}Content-Length: {len(hidden) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(sent.encode())
        answered = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answered.startswith(b"HTTP/1.1 400")
    assert answered.count(b"HTTP/1.1") == 1


def test_a_compressed_body_is_refused_as_one(server: Running) -> None:
    packed = gzip.compress(json.dumps(about_the_bench()).encode())
    reply = server.request("POST", CHAT, packed, headers={"Content-Encoding": "gzip"})
    assert (reply.status, "compressed" in reply.error["message"]) == (415, True)
    assert server.request("POST", CHAT, about_the_bench(), headers={"Content-Encoding": "identity"}).status == 200


def test_another_model_is_not_found_as_official_clients_expect(client: openai.OpenAI) -> None:
    assert client.models.retrieve("uhd-tiny").id == "uhd-tiny"
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("another")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_without_the_token_nobody_is_answered(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\nthe second line is a comment\n", encoding="utf-8")
    with running("--token-file", str(tmp_path / "token"), UHD_TOKEN="another") as server:
        for wrong in (None, "", "Bearer", "Bearer another", f"Basic {SECRET}", f"Bearer {SECRET}x", "Bearer é"):
            headers = {} if wrong is None else {"Authorization": wrong}
            for method, path in [("POST", CHAT), ("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/none")]:
                reply = server.request(method, path, headers=headers)
                assert (reply.status, reply.error["type"]) == (401, "authentication_error")
                assert reply.headers["www-authenticate"] == "Bearer"
        assert server.request("GET", "/health").status == 200
        for key, answered in [(SECRET, True), ("another", False)]:
            client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)
            given: Any = about_the_bench()
            if answered:
                assert client.chat.completions.create(**given).choices[0].message.content == "JX7"
            else:
                with pytest.raises(openai.AuthenticationError):
                    client.chat.completions.create(**given)


def test_the_token_may_come_from_the_environment() -> None:
    with running(UHD_TOKEN=SECRET) as server:
        assert server.request("GET", "/v1/models").status == 401
        assert server.request("GET", "/v1/models", headers={"Authorization": f"bearer {SECRET}"}).status == 200
