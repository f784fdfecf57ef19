"""One object to the client, or events, the first of them with the headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Receive, Scope, Send

    from uhd_edge.server.dialect import Dialect, ReplyWriter
    from uhd_edge.server.errors import ApiError

# Names what of a request was ignored.
IGNORED = "X-UHD-Ignored"

MOST_NAMES = 20
LONGEST_NAME = 60


class Sending:
    """Sends one response in a dialect; `status` is what was sent."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, dialect: Dialect) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._dialect = dialect
        self._reply: ReplyWriter | None = None
        self._streaming = False
        self._headers: dict[str, str] = {}
        self.status = 200

    def prepare(self, reply: ReplyWriter, ignored: Sequence[str]) -> None:
        """Set what writes the stream, and the names for the header about what was ignored."""
        self._reply = reply
        if names := readable_names(ignored):
            self._headers = {IGNORED: ", ".join(names)}

    async def json(self, content: object, *, error: ApiError | None = None) -> None:
        """Send one object."""
        self.status = 200 if error is None else error.status
        headers = {**self._headers, **({} if error is None else error.headers)}
        await JSONResponse(content, self.status, headers)(self._scope, self._receive, self._send)

    async def events(self, events: bytes, *, more: bool = True) -> None:
        """Send a part of the stream."""
        if not self._streaming:
            kind = "" if self._reply is None else self._reply.media_type
            given = {"content-type": kind, "cache-control": "no-cache", **self._headers}
            headers = [(name.lower().encode(), value.encode()) for name, value in given.items()]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            self._streaming = True
        await self._send({"type": "http.response.body", "body": events, "more_body": more})

    async def fail(self, error: ApiError) -> None:
        """Send an error, inside the stream if that has begun."""
        if self._streaming and self._reply is not None:
            self.status = error.status
            await self.events(self._reply.failed(error), more=False)
        else:
            await self.json(self._dialect.error_body(error), error=error)


def readable_names(names: Sequence[Any]) -> list[str]:
    """Return the first names of clients as they may stand in a header and in a log: other letters as URLs have them."""
    told = list(dict.fromkeys(name for name in names if isinstance(name, str)))[:MOST_NAMES]
    # An empty name is shown by its quotation marks: an HTTP header must not end in a comma and a space.
    return [quote(name[:LONGEST_NAME].encode(errors="replace"), safe="[]") or '""' for name in told]
