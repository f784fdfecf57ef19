"""Images and videos from other servers, fetched from public addresses only, within limits of size and time.

For the URL and for every redirect, the name is looked up once and each of its addresses is checked
before connecting. So neither a redirect, nor a name whose address changes, can lead to a
machine in the local network.
"""

from __future__ import annotations

import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MOST_REDIRECTS = 3
CHUNK = 64 * 1024

# As `socket.getaddrinfo` has it: family, kind, protocol, name, address.
_Address: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]

# All other IPv6 addresses are local, multicast, or contain an IPv4 address.
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")

_REDIRECTS = (301, 302, 303, 307, 308)


class _RefusedError(Exception):
    """A file cannot be fetched: its URL, and why."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet's: not private, loopback, link-local or reserved."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        carries_another = ip.sixtofour is not None or ip.teredo is not None
        return ip in GLOBAL_UNICAST and ip.is_global and not carries_another
    return ip.is_global and not ip.is_multicast


def fetch_file(
    url: str,
    *,
    noun: str = "image",
    most_bytes: int,
    bytes_before: int = 0,
    seconds: float,
    allowed: Callable[[str], bool] = is_public,
) -> bytes:
    """Fetch an image or a video, which errors call `noun`; call it in a thread, because it blocks.

    `allowed` decides which IP addresses may be connected to. Raises `ApiError` 400 for a scheme
    other than http and https, an address that is not allowed, a server that does not answer, a
    file over `most_bytes` together with the `bytes_before` of the same request, and after `seconds`,
    which looking up a name counts for too.
    """
    try:
        return _fetch(url, most_bytes, bytes_before, time.monotonic() + seconds, allowed)
    except _RefusedError as error:
        code = "invalid_image_url" if noun == "image" else "invalid_video_url"
        raise ApiError(400, f"the {noun} {error}", param="messages", code=code) from error


def _fetch(url: str, most_bytes: int, bytes_before: int, deadline: float, allowed: Callable[[str], bool]) -> bytes:
    for _ in range(MOST_REDIRECTS + 1):
        connection, target = _connection(url, deadline, allowed)
        try:
            with _ended_at(deadline, connection.sock):
                if isinstance(connection.sock, ssl.SSLSocket):
                    connection.sock.do_handshake()
                connection.request("GET", target, headers={"Accept": "image/*, video/*", "User-Agent": "uhd-edge"})
                response = connection.getresponse()
                if response.status not in _REDIRECTS:
                    return _body(response, url, most_bytes, bytes_before, deadline)
                url = urljoin(url, response.headers.get("Location", ""))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _refused(url, f"cannot be fetched ({error or type(error).__name__})") from error
        finally:
            connection.close()
    raise _refused(url, f"redirects more than {MOST_REDIRECTS} times")


def _connection(url: str, deadline: float, allowed: Callable[[str], bool]) -> tuple[http.client.HTTPConnection, str]:
    """Connect to an address that has been checked, and return the connection with the request's target."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _refused(url, f"is no URL ({error})") from error
    if parts.scheme not in ("http", "https") or not host:
        raise _refused(url, "is neither a data URI nor an http or https URL")
    secure = parts.scheme == "https"
    port = port or (443 if secure else 80)
    try:
        connection = http.client.HTTPConnection(host, port)
        connection.sock = _socket(host, port, deadline, allowed, url)
        if secure:
            connection.sock = ssl.create_default_context().wrap_socket(
                connection.sock, server_hostname=host, do_handshake_on_connect=False
            )
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _refused(url, f"cannot be reached ({error})") from error
    return connection, _target(parts)


def _target(parts: SplitResult) -> str:
    target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    return target if target.startswith("/") else f"/{target}"


def _socket(host: str, port: int, deadline: float, allowed: Callable[[str], bool], url: str) -> socket.socket:
    """Connect to the first address of a host; all of them must be allowed."""
    found = _addresses(host, port, deadline)
    if not found or not all(allowed(str(address[0])) for *_, address in found):
        raise _refused(url, "is not on the public internet")
    family, kind, protocol, _, address = found[0]
    connected = socket.socket(family, kind, protocol)
    try:
        connected.settimeout(_left(deadline))
        connected.connect(address)
    except BaseException:
        connected.close()
        raise
    return connected


def _addresses(host: str, port: int, deadline: float) -> Sequence[_Address]:
    """Look up a name, in a thread of its own that nobody waits for after the deadline: it cannot be interrupted."""
    found: queue.SimpleQueue[Sequence[_Address] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:
            found.put(error)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        answer = found.get(timeout=_left(deadline))
    except queue.Empty:
        raise TimeoutError("it takes too long") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


@contextmanager
def _ended_at(deadline: float, connected: socket.socket) -> Iterator[None]:
    """Close a connection at the deadline; a timeout would start over with every byte that arrives."""
    timer = threading.Timer(_left(deadline), socket.socket.shutdown, (connected, socket.SHUT_RDWR))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _body(response: http.client.HTTPResponse, url: str, most_bytes: int, bytes_before: int, deadline: float) -> bytes:
    if response.status != 200:
        raise _refused(url, f"is answered with status {response.status}")
    data = bytearray()
    while chunk := response.read1(CHUNK):
        data += chunk
        if bytes_before + len(data) > most_bytes:
            beside = " together with what was fetched before it" if bytes_before else ""
            raise _refused(url, f"is larger than {most_bytes} bytes{beside}")
    _left(deadline)  # the body may have ended because the connection was closed at the deadline
    return bytes(data)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("it takes too long")
    return left


def _refused(url: str, reason: str) -> _RefusedError:
    return _RefusedError(f"{url[:200]!r} {reason}")
