"""Bodies that are too large, requests too many, answers that take too long."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import openai
import pytest
from support.running_server import CHAT, Running, about_the_bench, asked, finished, running, without_an_end

from uhd_edge.runtime.errors import BusyError
from uhd_edge.server import waiting
from uhd_edge.server.errors import ApiError


def test_a_body_that_is_too_large_is_refused(server: Running) -> None:
    large = asked("?" + "a" * 400_000)
    reply = server.request("POST", CHAT, large)
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")


def test_a_body_of_unknown_length_is_refused_once_it_is_too_large(server: Running) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += "Transfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(server.address, timeout=60) as connection:
        connection.sendall(head.encode() + b"30000\r\n" + b"a" * 0x30000 + b"\r\n30000\r\n" + b"a" * 0x30000 + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def long_one(server: Running) -> socket.socket:
    """Begin a stream without an end, and wait until it is being answered."""
    body = json.dumps(without_an_end(stream=True)).encode()
    connection = server.begun(body)
    connection.sendall(body)
    assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    return connection


def test_one_request_too_many_is_told_to_come_again() -> None:
    with running("--queue", "0", "--one-at-a-time") as server, long_one(server):
        refused = server.request("POST", CHAT, about_the_bench())
        assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (429, "busy", "1")
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="uhd-tiny", messages=[{"role": "user", "content": "What?"}])


def test_a_request_whose_body_does_not_come_takes_no_place(server: Running) -> None:
    body = json.dumps(about_the_bench()).encode()
    begun = [server.begun(body) for _ in range(12)]
    for connection in begun:
        connection.sendall(body[:1])
    assert server.request("POST", CHAT, about_the_bench()).json["choices"][0]["message"]["content"] == "JX7"
    for connection in begun:
        connection.sendall(body[1:])
        assert finished(connection).status == 200


def test_bodies_that_arrive_at_a_time_have_room_together() -> None:
    room = waiting.BodyRoom(5)

    async def reading(*parts: bytes) -> bytes:
        left = list(parts)

        async def receive() -> Any:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        return await waiting.read_body(receive, most=100, declared=None, room=room)

    room.take(2)
    with pytest.raises(BusyError):
        asyncio.run(reading(b"ab", b"cd"))
    assert asyncio.run(reading(b"ab", b"c")) == b"abc"
    room.give_back(2)
    assert asyncio.run(reading(b"ab", b"cde")) == b"abcde"


def test_a_request_is_answered_beside_one_without_an_end() -> None:
    with running("--at-once", "2", "--queue", "0") as server, long_one(server):
        for _ in range(3):
            assert server.request("POST", CHAT, about_the_bench()).json["choices"][0]["message"]["content"] == "JX7"
        with long_one(server):
            assert server.request("POST", CHAT, about_the_bench()).status == 429


def test_an_answer_that_takes_too_long_is_ended() -> None:
    with running("--time-limit", "1") as server:
        reply = server.request("POST", CHAT, without_an_end())
        assert (reply.status, reply.error["code"]) == (503, "timeout")
        assert "limit of 1 s" in reply.error["message"]
        *_, last, end = server.request("POST", CHAT, without_an_end(stream=True)).body.split(b"\n\n")
        assert end == b""
        assert b'"code":"timeout"' in last
        assert server.metric("uhd_queue_depth") == 0


def test_a_body_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent() -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(waiting, "BODY_SECONDS", 0.01)
    with pytest.raises(ApiError) as refused:
        asyncio.run(waiting.read_body(silent, most=5, declared=None))
    assert refused.value.status == 408
