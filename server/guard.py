"""Access control: clients with the token, but no web pages of other sites.

A web page can send requests to a server on the machine of its reader. Two checks keep it out.
What a browser sends must be declared as JSON, for which it asks permission first (CORS). And a
server that listens on this machine only answers requests to the machine's own names, not to a
name that an attacker's DNS server points here (DNS rebinding).

Programs leave the content type out, or send curl's default. A browser names the page's site with
every body (`Origin`, `Sec-Fetch-Site`), so a request without either is a program's.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from uhd_edge.server.errors import TWO_LENGTHS, ApiError
from uhd_edge.server.page.routes import FILES

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from uhd_edge.server.options import ServerOptions

OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")

# A page cannot set or remove these headers.
_OF_BROWSERS = ("origin", "sec-fetch-site", "sec-fetch-mode")


def admit(headers: Headers, path: str, options: ServerOptions) -> None:
    """Raise `ApiError` unless a request may be answered: 403 for another host, 401 for a wrong or missing token.

    `/health` and the files of the page need no token. With two lengths a body may end elsewhere for a proxy in front
    than here, and what follows it would be a request that the proxy has not seen: 400.
    """
    if "content-length" in headers and "transfer-encoding" in headers:
        message = "the body has two lengths (Content-Length and Transfer-Encoding); send one of these headers"
        raise ApiError(400, message, code=TWO_LENGTHS)
    limited = options.local_names or options.hosts
    if limited and _name(headers.get("host", "")) not in (*OWN_NAMES, *map(str.lower, options.hosts)):
        message = f"this server answers only requests to {', '.join(('localhost', *options.hosts))}; "
        raise ApiError(403, f"{message}start it with --host or --allow-host to allow others")
    if options.token is None or path == "/health" or (options.page and path in FILES):
        return
    scheme, _, token = headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(token.strip().encode(), options.token.encode())
    if scheme.lower() != "bearer" or not same:
        raise ApiError(401, "the bearer token is missing or wrong", code="invalid_api_key")


def require_json(headers: Headers, *, strict: bool) -> None:
    """Raise `ApiError` 415 unless the body is declared as JSON, or is a program's and not `strict`ly looked at.

    A compressed one is refused too: a few bytes could become gigabytes.
    """
    packed = headers.get("content-encoding", "").strip().lower()
    if packed not in ("", "identity"):
        raise ApiError(415, f"the body is compressed ({packed[:20]!r}); send it as it is")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or not (strict or any(name in headers for name in _OF_BROWSERS)):
        return
    raise ApiError(415, "the body must have the content type application/json")


def _name(host: str) -> str:
    """Return the name in a Host header, without the port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()
