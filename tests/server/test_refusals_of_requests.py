"""What `uhd serve` refuses, in OpenAI's words; it answers the next request all the same."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
import struct
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import openai
import pytest
from click.testing import CliRunner
from PIL import Image
from support.running_server import CHAT, Running, about_the_bench, asked, finished, running, without_an_end

from uhd_edge.cli.commands.serve import serve
from uhd_edge.server import waiting
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASK = "?What?"
SECRET = "let me in 42"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    limits = ("--max-body", "0.3", "--max-pixels", "1", "--queue", "1")
    with running(*limits) as server:
        yield server


@pytest.fixture(autouse=True)
def _the_next_request_is_answered(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "server" in request.fixturenames:
        reply = request.getfixturevalue("server").request("POST", CHAT, about_the_bench())
        assert reply.json["choices"][0]["message"]["content"] == "JX7"


def png(width: int, height: int, *, pixels: bytes = b"") -> bytes:
    """A PNG whose header promises so many pixels, whatever it has."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(pixels))]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in [*chunks, (b"IEND", b"")]
    )
    return b"\x89PNG\r\n\x1a\n" + body


def plain(width: int, height: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(data, "PNG")
    return data.getvalue()


def with_part(part: dict[str, Any]) -> dict[str, Any]:
    return {"model": "uhd-tiny", "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, part]}]}


def in_format(kind: str, **more: Any) -> dict[str, Any]:
    return {"response_format": {"type": kind, **more}}


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("data:image/png;base64,@@@@", "base64 is broken"),
        ("data:image/png;base64,iVBORw0KGgé=", "base64 is broken"),
        ("data:image/png;base64,iVBORw0KGg", "base64 is broken"),
        ("data:image/png;base64,", "no bytes"),
        ("data:image/png;base64", "needs a comma"),
        ("data:,hello", "not an image"),
        (b"no image at all", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "not readable|not an image"),
        (png(30_000, 30_000), "limit of 1000000 pixels"),
        (png(60_000, 60_000, pixels=bytes(10**6)), "limit"),
        (png(500, 500, pixels=b"too few"), "truncated"),
        (plain(1001, 1000), "over the limit of 1000000 pixels"),
        ("https://example.org/cat.png", "this server fetches none"),
        ("file:///etc/passwd", "this server fetches none"),
        ("/etc/passwd", "this server fetches none"),
        ("", "this server fetches none"),
    ],
)
def test_an_image_that_cannot_be_used_is_said_so(server: Running, image: Any, said: str) -> None:
    reply = server.request("POST", CHAT, asked(image, ASK))
    assert (reply.status, reply.error["type"], reply.error["param"]) == (400, "invalid_request_error", "messages")
    assert re.search(said, reply.error["message"])
    assert "\n" not in reply.error["message"]


def test_pixels_count_for_all_images_together(server: Running) -> None:
    reply = server.request("POST", CHAT, asked(*[plain(700, 700)] * 3, ASK))
    assert (reply.status, reply.error["code"]) == (400, "invalid_image")
    assert server.request("POST", CHAT, asked(*[plain(700, 700)] * 2, ASK)).status == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (asked(ASK, n=2), "n"),
        (asked(ASK, tools=[{"type": "function"}]), "tools"),
        (asked(ASK, logprobs=True), "logprobs"),
        (asked(ASK, logit_bias={"5": 1}), "logit_bias"),
        (asked(ASK, frequency_penalty=0.5), "frequency_penalty"),
        (asked(ASK, audio={"voice": "x"}), "audio"),
        (asked(ASK, surprise=1), "surprise"),
        (asked(ASK, temperature="hot"), "temperature"),
        (asked(ASK, stream="perhaps"), "stream"),
        (asked(ASK, stream="true"), "stream"),
        (asked(ASK, max_tokens=True), "max_tokens"),
        (asked(ASK, max_tokens="5"), "max_tokens"),
        (asked(ASK, temperature="0.5"), "temperature"),
        (asked(ASK, stream_options={"more": True}), "stream_options.more"),
        (asked(ASK, mode="9x"), "mode"),
        ({"messages": [{"role": "user", "content": "What?"}]}, "model"),
        ({"model": "uhd-tiny"}, "messages"),
        ({"model": "uhd-tiny", "messages": []}, "messages"),
        ({"model": "uhd-tiny", "messages": [{"role": "tool", "content": "What?"}]}, "messages.0.role"),
        ({"model": "uhd-tiny", "messages": [{"role": "assistant", "content": "What?"}]}, "messages"),
        ({"model": "uhd-tiny", "messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"model": "uhd-tiny", "messages": [{"role": "user", "content": None}]}, "messages.0.content"),
        ({"model": "uhd-tiny", "messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"model": "uhd-tiny", "messages": ["What?"]}, "messages.0"),
        (with_part({"type": "image_url", "image_url": "data:,x"}), "messages.0.content.1.image_url"),
        (with_part({"type": "image_url"}), "messages.0.content.1.image_url"),
        (with_part({"type": "text", "text": 5}), "messages.0.content.1.text"),
        (with_part({"type": "video_url", "video_url": {"url": "x"}}), "messages.0.content.1"),
        (asked(plain(8, 8)), "messages"),
        (asked(ASK, **in_format("json_schema")), "response_format"),
        (asked(ASK, **in_format("yaml")), "response_format.type"),
    ],
)
def test_a_parameter_that_cannot_be_followed_is_named(server: Running, body: Any, param: str) -> None:
    reply = server.request("POST", CHAT, body)
    assert (reply.status, reply.error["type"], reply.error["param"]) == (400, "invalid_request_error", param)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 0}, "max_tokens"),
        ({"seed": -1}, "seed"),
        ({"stop": [""]}, "stop"),
        ({"max_slices": 0}, "max_slices"),
        (in_format("json_schema", json_schema={"name": "x", "schema": {"type": "surprise"}}), "schema"),
        (in_format("json_schema", json_schema={"name": "x", "schema": {"$ref": "https://example.org/x"}}), "example"),
        (in_format("json_schema", json_schema={"name": "x", "schema": {"minimum": "a"}}), "schema"),
    ],
)
def test_a_value_without_sense_is_refused_before_anything_is_answered(
    server: Running, parameters: dict[str, Any], said: str
) -> None:
    for streaming in (False, True):
        reply = server.request("POST", CHAT, asked(ASK, stream=streaming, **parameters))
        assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")
        assert said in reply.error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff\xfe", b"[" * 100_000, b'{"model": 1e999}'])
def test_a_body_that_is_no_request_is_refused(server: Running, body: bytes) -> None:
    assert server.request("POST", CHAT, body).status == 400


def test_a_text_that_stands_for_an_image_is_refused(server: Running) -> None:
    assert server.request("POST", CHAT, asked("?What is <|image_pad|>?")).status == 400


def test_a_conversation_that_is_too_long_is_refused(server: Running) -> None:
    reply = server.request("POST", CHAT, asked("?" + "what " * 5000))
    assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")


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


def test_one_request_too_many_is_told_to_come_again(server: Running) -> None:
    body = json.dumps(about_the_bench()).encode()
    begun = [server.begun(body) for _ in range(2)]
    refused = server.request("POST", CHAT, about_the_bench())
    assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (429, "busy", "1")
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="uhd-tiny", messages=[{"role": "user", "content": "What?"}])
    for connection in begun:
        connection.sendall(body)
    assert [finished(connection).status for connection in begun] == [200, 200]


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


def test_other_paths_and_methods_are_refused_in_the_same_shape(server: Running) -> None:
    refused = server.request("GET", CHAT)
    assert (refused.status, refused.headers["allow"], refused.error["type"]) == (405, "POST", "invalid_request_error")
    for method, path in [("GET", "/"), ("POST", "/v1/completions"), ("GET", "/docs"), ("POST", f"{CHAT}/")]:
        reply = server.request(method, path)
        assert (reply.status, reply.error["type"]) == (404, "invalid_request_error")
    assert server.request("POST", "/health").status == 405


def test_a_web_page_of_another_site_is_not_answered(server: Running) -> None:
    for host in ("attacker.example", f"attacker.example:{server.address[1]}", "127.0.0.1.attacker.example", ""):
        for path in ("/health", "/metrics", CHAT):
            assert server.request("POST" if path == CHAT else "GET", path, headers={"Host": host}).status == 403
    assert server.request("GET", "/health", headers={"Host": "localhost:1"}).status == 200
    for kind in ("text/plain", "", "application/x-www-form-urlencoded"):
        assert server.request("POST", CHAT, about_the_bench(), headers={"Content-Type": kind}).status == 415


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--token-file", "none"], "none: the token cannot be read"),
        (["--token-file", "/dev/null"], "/dev/null: the token is empty"),
        (["--host", "host.invalid"], "--host host.invalid: no address of this machine"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--bundle", "none"], "none"),
    ],
)
def test_a_server_that_cannot_start_says_why(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "uhd_edge.cli", "serve", "--port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("limit", ["--time-limit", "--max-body", "--cache-mb", "--max-pixels"])
@pytest.mark.parametrize("number", ["nan", "inf", "-1", "many"])
def test_a_limit_is_a_finite_number(limit: str, number: str) -> None:
    refused = CliRunner().invoke(serve, [limit, number])
    assert refused.exit_code == 2
    assert f"Invalid value for '{limit}'" in refused.stderr


def test_a_port_that_is_taken_is_said_so(server: Running) -> None:
    command = [sys.executable, "-m", "uhd_edge.cli", "serve", "--port", str(server.address[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr
