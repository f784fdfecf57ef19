"""What must not get in does not at any address: pictures too large to decode, and files from elsewhere."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import random
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.running_server import CHAT, CODE, EXAMPLES, Running, data_uri, running
from support.server.every_address import ADDRESSES, OLLAMA_CHAT, RESPONSES, question, refusal, said
from support.server.mutating import mutated
from support.server.png import plain, png

from uhd_edge.runtime import AsyncAssistant
from uhd_edge.server.app import application
from uhd_edge.server.media import remote_images
from uhd_edge.server.options import ServerOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCH = (EXAMPLES / "bench.png").read_bytes()
every_address = pytest.mark.parametrize("path", ADDRESSES)


@every_address
@pytest.mark.parametrize("bomb", [png(30_000, 30_000), png(60_000, 60_000, pixels=bytes(10**6)), plain(1001, 1000)])
def test_a_picture_too_large_to_decode_is_refused(server: Running, path: str, bomb: bytes) -> None:
    for image in (data_uri(bomb), base64.b64encode(bomb).decode()):
        reply = server.request("POST", path, question(path, CODE, image))
        told = refusal(path, reply.json)
        assert (reply.status, "the limit of 1000000 pixels; scale it down" in told) == (400, True)
        assert told.endswith(" (the server's --max-pixels sets the limit of a request)")
    together = server.request("POST", path, question(path, CODE, *[data_uri(plain(700, 700))] * 3))
    beside = "scale it down (980000 of the 1000000 pixels of a request, the server's --max-pixels, come before it)"
    assert (together.status, refusal(path, together.json).endswith(beside)) == (400, True)


@pytest.mark.parametrize(("path", "name"), [(CHAT, "messages"), (RESPONSES, "input"), (OLLAMA_CHAT, "messages")])
def test_frames_too_large_to_decode_are_refused(server: Running, path: str, name: str) -> None:
    frames = [{"type": "video", "video": [data_uri(plain(10, 10)), data_uri(png(30_000, 30_000))]}]
    asking = {"role": "user", "content": [*frames, {"type": "text", "text": CODE}]}
    reply = server.request("POST", path, {"model": "uhd-tiny", name: [asking]})
    assert reply.status == 400
    assert "frame 1 of a video: " in refusal(path, reply.json)
    assert "limit" in refusal(path, reply.json)


URL = "https://example.org/cat.png"


@every_address
def test_nothing_is_fetched_unless_that_was_allowed(server: Running, path: str) -> None:
    for url in (URL, "http://127.0.0.1:9/", "file:///etc/passwd", "/etc/passwd"):
        reply = server.request("POST", path, question(path, CODE, url))
        assert reply.status == 400
        assert refusal(path, reply.json).endswith("this server does not fetch images")


@pytest.fixture(scope="module")
def fetching_server() -> Iterator[Running]:
    with running("--allow-remote-images") as server:
        yield server


@every_address
def test_no_address_of_this_machine_is_fetched_from(fetching_server: Running, path: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as site:
        site.settimeout(0)
        port = site.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):
            reply = fetching_server.request("POST", path, question(path, CODE, f"http://{host}:{port}/cat.png"))
            assert (reply.status, "is not on the public internet" in refusal(path, reply.json)) == (400, True)
        with pytest.raises(BlockingIOError):
            site.accept()
    reply = fetching_server.request("POST", path, question(path, CODE, data_uri(BENCH)))
    assert said(path, reply.json) == "JX7"


def test_a_name_that_changes_its_address_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the first answer is a public address, which is checked, and any later one is this machine's."""
    looked_up: list[str] = []
    connected: list[Any] = []

    def addresses(host: str, port: int, **_: Any) -> list[Any]:
        looked_up.append(host)
        address = "93.184.215.14" if len(looked_up) % 2 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(_: Any, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError("nobody is there")

    async def ask() -> list[httpx.Response]:
        async with AsyncAssistant(threads=1) as assistant:
            bundle, defaults = await assistant.opened(), await assistant.defaults()
            app = application(assistant, bundle, defaults, ServerOptions(allow_remote_images=True))
            monkeypatch.setattr(remote_images.socket, "getaddrinfo", addresses)
            monkeypatch.setattr(remote_images.socket.socket, "connect", connect)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client:
                url = "http://name.example/cat.png"
                replies = []
                for path in ADDRESSES:
                    looked_up.clear()
                    replies.append(await client.post(path, json=question(path, CODE, url)))
                    assert looked_up == ["name.example"]
                return replies

    replies = asyncio.run(ask())
    assert [reply.status_code for reply in replies] == [400] * 4
    assert connected == [("93.184.215.14", 80)] * 4


TOOL = {"type": "function", "function": {"name": "go", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "object", "properties": {"code": {"type": "string"}}}
BACK = {"role": "assistant", "content": "A dog.", "refusal": None, "annotations": [], "tool_calls": []}
CALL = {"function": {"name": "go", "arguments": {}}}
CALLED = [
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "x", "tool_name": "go"},
]
ITEMS = [
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
    {"type": "function_call", "call_id": "call_1", "name": "go", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_1", "output": "done"},
]
FORMAT = {"type": "json_schema", "name": "x", "schema": SCHEMA}
MORE: tuple[dict[str, Any], ...] = (
    {
        "n": 2,
        "logit_bias": {"5": 1.0},
        "stop": ["x"],
        "tools": [TOOL],
        "tool_choice": "none",
        "seed": 3,
        "stream_options": {"include_usage": True},
        "response_format": {"type": "text"},
        "top_logprobs": 2,
    },
    {
        "tools": [{"type": "function", "name": "go"}],
        "tool_choice": "none",
        "include": [],
        "reasoning": {},
        "text": {"format": FORMAT},
        "instructions": "Look.",
        "metadata": {"a": "b"},
        "user": "me",
    },
    {"format": SCHEMA, "think": False, "keep_alive": "5m", "logprobs": True, "top_logprobs": 2},
    {"system": "Look.", "format": "json", "keep_alive": 5, "think": None, "suffix": "", "context": None},
)


def test_a_thousand_mutated_bodies_are_answered_or_refused_in_one_line(fetching_server: Running) -> None:
    dice = random.Random(14)
    image = data_uri(plain(40, 30))
    bodies = [question(path, CODE, image, most=2) | more for path, more in zip(ADDRESSES, MORE, strict=True)]
    bodies[0]["messages"] += [BACK, {"role": "user", "content": "What?"}]
    bodies[1]["input"] += [BACK, *ITEMS, {"role": "user", "content": "What?"}]
    bodies[2]["messages"] += [*CALLED, {"role": "user", "content": "What?"}]
    statuses: list[int] = []
    connection = http.client.HTTPConnection(*fetching_server.address, timeout=60)
    for number in range(1000):
        path, body = ADDRESSES[number % 4], mutated(bodies[number % 4], dice)
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        data = reply.read()
        statuses.append(reply.status)
        assert reply.status in (200, 400, 404), (path, body, data)
        if reply.status != 200:
            message = refusal(path, json.loads(data))
            assert message, (path, body)
            assert "\n" not in message, (path, body, message)
    connection.close()
    assert 100 < statuses.count(200) < 800
