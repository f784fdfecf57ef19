"""Opens an assistant for asyncio, and runs a test in an event loop of its own, with a time limit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime import AsyncAssistant, Bundle

if TYPE_CHECKING:
    from collections.abc import Coroutine


def opened(bundle: Bundle, *, queue: int = 8) -> AsyncAssistant:
    return AsyncAssistant(bundle, queue=queue, threads=1)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120))
