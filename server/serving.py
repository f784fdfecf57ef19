"""Listening, serving, and shutting down."""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from uhd_edge.runtime.errors import OptionError
from uhd_edge.server.app import application

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from uhd_edge.runtime.async_assistant import AsyncAssistant
    from uhd_edge.server.options import ServerOptions

# Most open connections, including idle ones; more get status 503.
MOST_CONNECTIONS = 200
# Seconds that a thread keeps Python's interpreter where another one waits for it; Python's own choice is 0.005.
SWITCH_AFTER = 0.0005


class _Server(uvicorn.Server):
    """Finishes the requests in progress at the first signal, and exits at the second."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's signature
        self.force_exit = self.should_exit
        self.should_exit = True


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
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="critical",  # the application logs its own errors
                access_log=False,
                server_header=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=int(options.time_limit) + 5,
            )
            ready(bundle.manifest.name)
            await _Server(config).serve(sockets=[listening])
