"""Clients that leave and signals that end the server, each in the middle of an answer."""

from __future__ import annotations

import json
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from support.running_server import CHAT, Running, about_the_bench, finished, running, without_an_end

if TYPE_CHECKING:
    from collections.abc import Iterator

GONE = f'uhd_requests_total{{path="{CHAT}",status="499"}}'


@pytest.fixture
def server() -> Iterator[Running]:
    with running() as server:
        yield server


def sent(server: Running, body: object) -> socket.socket:
    """Send a request and return its connection, from which nothing has been read."""
    data = json.dumps(body).encode()
    connection = server.begun(data)
    connection.sendall(data)
    return connection


def streaming(server: Running) -> socket.socket:
    """Ask for an answer without an end and read its first pieces."""
    connection = sent(server, without_an_end(stream=True))
    received = b""
    while b'"content":"[' not in received:
        part = connection.recv(4096)
        assert part
        received += part
    return connection


def answers_the_next(server: Running) -> bool:
    reply = server.request("POST", CHAT, about_the_bench())
    return bool(reply.json["choices"][0]["message"]["content"] == "JX7")


def test_a_client_that_leaves_ends_its_answer(server: Running) -> None:
    streaming(server).close()  # in the middle of a stream
    assert answers_the_next(server)
    assert server.metric(GONE) == 1
    whole = sent(server, without_an_end())
    waiting = sent(server, about_the_bench())
    for left in (waiting, whole):  # one in the queue, one before its first word
        left.close()
    assert answers_the_next(server)
    assert server.metric(GONE) == 3
    data = json.dumps(about_the_bench()).encode()
    begun = server.begun(data)
    begun.sendall(data[:1000])
    begun.close()  # in the middle of its body
    assert answers_the_next(server)
    assert server.metric(GONE) == 4
    assert server.metric("uhd_queue_depth") == 0


def test_a_connection_that_is_reset_ends_its_answer(server: Running) -> None:
    connection = streaming(server)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
    assert answers_the_next(server)
    assert server.metric(GONE) == 1


def test_what_is_no_http_is_refused(server: Running) -> None:
    for noise in (b"\0\1\2\3\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST " + b"a" * 100_000):
        with socket.create_connection(server.address, timeout=60) as connection:
            connection.sendall(noise)
            assert connection.recv(4096).startswith(b"HTTP/1.1 4")
    assert answers_the_next(server)


def test_sigterm_under_load_finishes_what_has_begun(server: Running) -> None:
    body = json.dumps(about_the_bench()).encode()
    begun = [server.begun(body) for _ in range(5)]
    for connection in begun[:3]:
        connection.sendall(body)
    server.process.send_signal(signal.SIGTERM)
    for connection in begun[3:]:
        connection.sendall(body)
    replies = [finished(connection) for connection in begun]
    assert [reply.json["choices"][0]["message"]["content"] for reply in replies] == ["JX7"] * 5
    assert server.process.wait(60) == 0
    with pytest.raises(ConnectionError):
        socket.create_connection(server.address, timeout=60)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(server: Running, second: signal.Signals) -> None:
    with streaming(server) as connection:
        server.process.send_signal(signal.SIGTERM)
        assert connection.recv(1)  # it goes on answering
        server.process.send_signal(second)
        while connection.recv(65536):
            pass
    assert server.process.wait(60) == 0
    assert server.process.stderr is not None
    assert "Traceback" not in server.process.stderr.read()
