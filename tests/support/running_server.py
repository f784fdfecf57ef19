"""Runs `uhd serve` in a process of its own, on a free port."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from support.conversations.long_answer import LONG
from support.places import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

CODE = "What is the code on the white star?"
CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Reply:
    """A complete response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


@dataclass(frozen=True)
class Running:
    """A running server at `url`."""

    process: subprocess.Popen[str]
    url: str

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    def request(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Reply:
        """Send a request. A body that is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        given = {"Content-Type": "application/json", **(headers or {})}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, given)
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def metric(self, sample: str) -> float:
        """The value of a metric such as `uhd_queue_depth`; 0 if it is not there yet."""
        text = self.request("GET", "/metrics").body.decode()
        found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def begun(self, body: bytes) -> socket.socket:
        """Send the header of a chat request, and wait until the server asks for the body."""
        connection = socket.create_connection(self.address, timeout=60)
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")
        return connection


def finished(connection: socket.socket) -> Reply:
    """Read the response to a request that `begun` has sent."""
    with connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        return Reply(response.status, dict(response.getheaders()), response.read())


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[Running]:
    """Start a server, wait until it answers, and end it after the `with` block."""
    command = [sys.executable, "-m", "uhd_edge.cli", "serve", "--port", "0", "--threads", "1", *arguments]
    inherited = {name: value for name, value in os.environ.items() if name != "UHD_TOKEN"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**inherited, **environment})
    assert process.stderr is not None
    with process:
        try:
            line = process.stderr.readline()
            found = re.search(r"answers at (http://\S+)/v1", line)
            assert found, line + process.stderr.read()
            yield Running(process, found[1])
        finally:
            process.terminate()


def data_uri(image: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


def asked(*parts: object, **parameters: Any) -> dict[str, Any]:
    """The body of a request with one message. Its parts are images (bytes or URLs) and texts (beginning with `?`)."""
    return {
        "model": "uhd-tiny",
        "messages": [{"role": "user", "content": [part_of(part) for part in parts]}],
        **parameters,
    }


def part_of(part: object) -> dict[str, Any]:
    if isinstance(part, bytes):
        part = data_uri(part)
    if str(part).startswith("?"):
        return {"type": "text", "text": str(part)[1:]}
    return {"type": "image_url", "image_url": {"url": part}}


def about_the_bench(**parameters: Any) -> dict[str, Any]:
    return asked((EXAMPLES / "bench.png").read_bytes(), f"?{CODE}", **parameters)


def without_an_end(**parameters: Any) -> dict[str, Any]:
    """A request whose answer takes thousands of tokens."""
    wanted = {"type": "json_schema", "json_schema": {"name": "numbers", "schema": LONG}}
    return asked("?Count.", response_format=wanted, max_tokens=4000, **parameters)
