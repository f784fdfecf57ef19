"""Images from other machines: which addresses may be connected to, and within which limits."""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from support.running_server import CHAT, CODE, EXAMPLES, Running, asked, running

from uhd_edge.server.errors import ApiError
from uhd_edge.server.media import loading, remote_images
from uhd_edge.server.media.parts import MediaPart
from uhd_edge.server.media.remote_images import fetch_file, is_public
from uhd_edge.server.media.threads import MediaThreads
from uhd_edge.server.options import ServerOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = (EXAMPLES / "bench.png").read_bytes()


class Site(http.server.BaseHTTPRequestHandler):
    """Answers by path: an image, redirects, too much, never enough."""

    asked_for: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked_for.append(self.path)
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(404 if self.path == "/none" else 200)
        self.end_headers()
        if self.path == "/slow":
            while not self.server.ended.wait(0.02):  # type: ignore[attr-defined]
                self.wfile.write(b"a")
        else:
            self.wfile.write(IMAGE)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    Site.asked_for.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.ended = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.ended.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def anywhere(_address: str) -> bool:
    return True


def fetch(url: str, **limits: Any) -> bytes:
    return fetch_file(url, **{"most_bytes": 10**6, "seconds": 30.0, "allowed": anywhere, **limits})


PRIVATE = ["127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"]
PRIVATE += ["0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1"]
PRIVATE += ["fe80::1%eth0", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a00:1::", "ff02::1"]
PRIVATE += ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "", "example.org"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_a_public_address_is_known(address: str) -> None:
    assert is_public(address)


def test_an_image_is_fetched_through_redirects(site: str) -> None:
    assert fetch(f"{site}/cat.png?size=1#top") == IMAGE
    assert fetch(f"{site}/to/{site}/to//cat.png") == IMAGE
    assert Site.asked_for[0] == "/cat.png?size=1"


def test_a_redirect_to_a_private_address_is_not_followed(site: str) -> None:
    port = site.rpartition(":")[2]
    only_this = {"127.0.0.1"}
    for private in (f"http://127.0.0.2:{port}/", "http://[::1]/", "file:///etc/passwd", "ftp://127.0.0.1/"):
        with pytest.raises(ApiError, match=r"public internet|neither a data URI"):
            fetch(f"{site}/to/{private}", allowed=only_this.__contains__)
    assert len(Site.asked_for) == 4


def test_a_name_with_one_private_address_is_refused(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up once: what was checked is what is connected to."""
    port = int(site.rpartition(":")[2])
    looked_up = []

    def addresses(host: str, *_: Any, **__: Any) -> list[Any]:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(remote_images.socket, "getaddrinfo", addresses)
    found = ["127.0.0.1", "127.0.0.3"]
    with pytest.raises(ApiError, match="public internet"):
        fetch("http://name.example/", allowed={"127.0.0.1"}.__contains__)
    found = ["127.0.0.1"]
    assert fetch("http://name.example/", allowed={"127.0.0.1"}.__contains__) == IMAGE
    assert looked_up == ["name.example"] * 2


def test_a_video_is_called_one(site: str) -> None:
    with pytest.raises(ApiError, match=r"the video 'http://127.0.0.1:.*/none' is answered with status 404") as refused:
        fetch(f"{site}/none", noun="video")
    assert refused.value.code == "invalid_video_url"


def test_limits_hold(site: str) -> None:
    with pytest.raises(ApiError, match="larger than 1000 bytes"):
        fetch(f"{site}/cat.png", most_bytes=1000)
    with pytest.raises(ApiError, match="cannot be fetched"):
        fetch(f"{site}/slow", seconds=0.2)
    with pytest.raises(ApiError, match="redirects more than"):
        fetch(f"{site}/to//to//to//to//to//cat.png")
    with pytest.raises(ApiError, match="status 404"):
        fetch(f"{site}/none")


def test_a_name_that_is_looked_up_for_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def never(*_: Any, **__: Any) -> list[Any]:
        ended.wait(60)
        return []

    monkeypatch.setattr(remote_images.socket, "getaddrinfo", never)
    try:
        with pytest.raises(ApiError, match=r"cannot be reached \(it takes too long\)"):
            fetch("http://name.example/", seconds=0.2)
    finally:
        ended.set()


async def load_all(urls: list[str], **limits: Any) -> list[Any]:
    async def in_reader(work: Any, *arguments: Any) -> Any:
        return work(*arguments)

    options = ServerOptions(allow_remote_images=True, **limits)
    return await loading.load_media(
        [MediaPart("image", (url,)) for url in urls], options, MediaThreads(reader=in_reader)
    )


def test_all_files_of_a_request_have_one_limit(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "fetch_file", partial(fetch_file, allowed=anywhere))
    urls = [f"{site}/{number}" for number in range(5)]
    most = 2 * len(IMAGE)
    assert len(asyncio.run(load_all(urls[:2], max_body=most))) == 2
    Site.asked_for.clear()
    with pytest.raises(ApiError, match=f"/2' is larger than {most} bytes together with what was fetched") as refused:
        asyncio.run(load_all(urls, max_body=most))
    assert (refused.value.status, Site.asked_for) == (400, ["/0", "/1", "/2"])


def test_no_more_files_are_fetched_than_a_video_has_frames(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "fetch_file", partial(fetch_file, allowed=anywhere))
    with pytest.raises(ApiError, match="500 images and videos would have to be fetched; the most are 128") as refused:
        asyncio.run(load_all([f"{site}/{number}" for number in range(500)]))
    assert (refused.value.status, Site.asked_for) == (400, [])


@pytest.mark.parametrize("url", ["", "cat.png", "http://", "http://[", "http://a:99999/", "http://\x00/", "//a/b"])
def test_what_is_no_url_is_one_error(url: str) -> None:
    with pytest.raises(ApiError) as refused:
        fetch(url)
    assert refused.value.status == 400


def test_a_port_where_nobody_listens_is_one_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(ApiError, match="cannot be reached"):
        fetch(f"http://127.0.0.1:{port}/")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running("--allow-remote-images") as server:
        yield server


def test_a_server_that_may_fetch_asks_no_private_address(server: Running, site: str) -> None:
    port = site.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"):
        reply = server.request("POST", CHAT, asked(f"http://{host}:{port}/cat.png", f"?{CODE}"))
        assert (reply.status, reply.error["code"]) == (400, "invalid_image_url")
    assert Site.asked_for == []
    reply = server.request("POST", CHAT, asked(IMAGE, f"?{CODE}"))
    assert reply.json["choices"][0]["message"]["content"] == "JX7"
