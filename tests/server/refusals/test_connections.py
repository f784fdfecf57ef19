"""Connections on which nothing is asked take no place of those that ask."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from support.running_server import CHAT, Running, about_the_bench
from uvicorn.server import ServerState

from uhd_edge.server import serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ASKING = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_silent_connections_and_halves_of_headers_keep_nobody_out(server: Running) -> None:
    with contextlib.ExitStack() as silent:
        opened = [silent.enter_context(socket.create_connection(server.address, timeout=60)) for _ in range(400)]
        for connection in opened[:250]:
            with contextlib.suppress(OSError):
                connection.sendall(b"GET /health HTTP/1.1\r\nHo")
        for connection in opened[250:]:
            with contextlib.suppress(OSError):
                connection.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n".encode())
        assert server.request("GET", "/health").json == {"status": "ok"}
        reply = server.request("POST", CHAT, about_the_bench())
        assert reply.json["choices"][0]["message"]["content"] == "JX7"


async def _open(app: Any, state: ServerState) -> socket.socket:
    config = uvicorn.Config(app, http=serving.Connection, interface="asgi3", lifespan="off", log_config=None)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(lambda: serving.Connection(config, state, {}), theirs)
    return ours


def _run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(test(), 60)

    asyncio.run(limited())


def test_a_connection_without_a_header_is_closed_and_one_that_waits_for_its_answer_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "HEADER_SECONDS", 0.01)

    async def test() -> None:
        loop, asked, answer = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

        async def app(_: Any, __: Any, send: Any) -> None:
            asked.set()
            await answer.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"late"})

        state = ServerState()
        asking = await _open(app, state)
        await loop.sock_sendall(asking, ASKING)
        await asked.wait()
        silent, half = await _open(app, state), await _open(app, state)
        await loop.sock_sendall(half, ASKING[:20])
        assert await loop.sock_recv(silent, 100) == b""
        assert await loop.sock_recv(half, 100) == b""
        answer.set()
        assert (await loop.sock_recv(asking, 100)).startswith(b"HTTP/1.1 200")
        for one in (asking, silent, half):
            one.close()

    _run(test)


def test_where_all_connections_ask_one_more_is_told_so_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_CONNECTIONS", 1)

    async def test() -> None:
        loop, asked = asyncio.get_running_loop(), asyncio.Event()

        async def app(_: Any, __: Any, ___: Any) -> None:
            asked.set()
            await asyncio.Event().wait()

        state = ServerState()
        asking = await _open(app, state)
        await loop.sock_sendall(asking, ASKING)
        await asked.wait()
        more = await _open(app, state)
        await loop.sock_sendall(more, ASKING)
        received = b""
        while part := await loop.sock_recv(more, 4096):
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert json.loads(body)["error"]["code"] == "busy"
        for one in (asking, more):
            one.close()
        for task in state.tasks:
            task.cancel()

    _run(test)
