"""Limits of time for bodies and answers, and clients that disconnect."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import BusyError
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.types import Receive

# A body must arrive within this time, because what has come of it takes memory.
BODY_SECONDS = 30.0


class ClientGoneError(Exception):
    """The client has disconnected, so nobody is waiting for the answer."""


class BodyRoom:
    """Room for the bodies that are arriving, `most` bytes of them together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    def take(self, count: int) -> None:
        """Take room for so many bytes more; raises `BusyError` where there is none."""
        if self._held + count > self._most:
            raise BusyError("too many large requests are arriving at a time; ask again later")
        self._held += count

    def give_back(self, count: int) -> None:
        """Give room back."""
        self._held -= count


async def read_body(receive: Receive, *, most: int, declared: str | None, room: BodyRoom | None = None) -> bytes:
    """Read a request's body; `declared` is its Content-Length. What has come of it takes `room` until all is there.

    Raises `ApiError` 413 as soon as it is known to be over `most` bytes, 408 when it takes too
    long, `BusyError` where there is no room, and `ClientGoneError` when the client disconnects.
    """
    if declared is not None and declared.isdecimal() and int(declared) > most:
        raise _too_large(most)
    try:
        return await asyncio.wait_for(_read(receive, most, room or BodyRoom(most)), BODY_SECONDS)
    except asyncio.TimeoutError:  # another class than the built-in one before Python 3.11
        raise ApiError(408, f"the body did not arrive within {BODY_SECONDS:g} s") from None


async def _read(receive: Receive, most: int, room: BodyRoom) -> bytes:
    body, taken = bytearray(), 0
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part = message.get("body", b"")
            if len(body) + len(part) > most:
                raise _too_large(most)
            room.take(len(part))
            taken += len(part)
            body += part
            if not message.get("more_body", False):
                return bytes(body)
    finally:
        room.give_back(taken)


async def finish_in_time(
    work: Coroutine[object, object, None], receive: Receive, *, since: float, limit: float
) -> None:
    """Run `work` until it is done, the client disconnects, or its time is up; unfinished work is cancelled.

    Raises what `work` raises, `ClientGoneError` when the client disconnects, and `ApiError` 503
    `limit` seconds after `since`, a time of the event loop. The body must have been read.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(receive))
    try:
        left = max(0.0, since + limit - asyncio.get_running_loop().time())
        await asyncio.wait({working, leaving}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        elif leaving.done():
            raise ClientGoneError
        else:
            raise ApiError(503, f"the answer took longer than the limit of {limit:g} s", code="timeout")
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait({working, leaving})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_large(most: int) -> ApiError:
    return ApiError(
        413, f"the body is larger than {most} bytes; send less, such as smaller images", code="body_too_large"
    )
