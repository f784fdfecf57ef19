"""Listening, connections, serving, and shutting down."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from uhd_edge.runtime.errors import OptionError
from uhd_edge.server.app import application
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from starlette.types import Receive, Scope, Send

    from uhd_edge.runtime.async_assistant import AsyncAssistant
    from uhd_edge.server.options import ServerOptions

# Most open connections. For one more, the oldest that is asking nothing is closed; where all ask, it gets status 503.
MOST_CONNECTIONS = 200

# A header must be whole within this time of the connection, or of its first byte on one that was used before.
HEADER_SECONDS = 30.0

# Seconds that a thread keeps Python's interpreter where another one waits for it; Python's own choice is 0.005.
SWITCH_AFTER = 0.0005


class _Server(uvicorn.Server):
    """Finishes the requests in progress at the first signal, and exits at the second."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's signature
        self.force_exit = self.should_exit
        self.should_exit = True


class Connection(H11Protocol):
    """A connection of uvicorn's that does not wait for a header for ever."""

    _opened = 0.0
    _waiting: asyncio.TimerHandle | None = None

    @property
    def replaceable(self) -> int:
        """0 if a request is being answered, 1 if its body is still to come, 2 if there is none."""
        if self.cycle is None or self.cycle.response_complete:
            return 2
        return 1 if self.cycle.more_body else 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Start to wait for a header, and make room if there are too many connections."""
        others: list[Any] = [one for one in self.connections if isinstance(one, Connection)]
        super().connection_made(transport)
        self._opened = self.loop.time()
        self._watch()
        open_ones = [one for one in others if not one.transport.is_closing()]
        if len(open_ones) < MOST_CONNECTIONS:
            return
        first = max(open_ones, key=lambda one: (one.replaceable, -one._opened))  # of this class
        if first.replaceable:
            first.transport.close()
        else:
            self.app = _unavailable

    def data_received(self, data: bytes) -> None:
        """Read more of a request."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what waits for a header."""
        self._end_waiting()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Wait for a header from now on, unless that is so already or a request has come."""
        if self.replaceable < 2 or self.transport.is_closing():
            self._end_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _end_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


async def _unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    error = ApiError(503, f"{MOST_CONNECTIONS} requests are open already; ask again later", code="busy")
    body: dict[str, Any] = {"error": str(error)} if scope["path"].startswith("/api/") else error.body
    await JSONResponse(body, 503, {**error.headers, "Connection": "close"})(scope, receive, send)


def switch_threads_sooner() -> None:
    """Let Python's threads wait for each other a tenth of the usual time, from now on.

    The event loop and the threads that generate need the interpreter in turn, each for some ten microseconds.
    """
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_AFTER))


def listening_socket(host: str, port: int) -> socket.socket:
    """Listen on an address; port 0 takes any free port. Raises `OptionError` when that is not possible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise OptionError(f"--host {host}: not an address of this machine ({error})") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(MOST_CONNECTIONS)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else error
        raise OptionError(f"cannot listen on {host} port {port} ({reason}); choose another --port") from error
    return listening


async def serve(
    assistant: AsyncAssistant, options: ServerOptions, listening: socket.socket, ready: Callable[[str], None]
) -> None:
    """Serve until a signal arrives, finish the requests in progress, and close the assistant.

    `ready` is called with the name of the model when the server is ready. A second signal cancels
    the requests in progress. Raises what opening the assistant raises.
    """
    with contextlib.closing(listening):
        async with assistant:
            bundle = await assistant.opened()
            config = uvicorn.Config(
                application(assistant, bundle, await assistant.defaults(), options),
                http=Connection,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="critical",  # the application logs its own errors
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(options.time_limit) + 5,
            )
            ready(bundle.manifest.name)
            await _Server(config).serve(sockets=[listening])
