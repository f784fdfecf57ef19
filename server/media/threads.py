"""The threads in which what came with requests is read and decoded, so that the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class InThread(Protocol):
    """Runs slow work in a thread."""

    async def __call__(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Return what `work` returns for the arguments."""
        ...


class OneThread:
    """Runs work in one thread, in the order in which it comes."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"uhd-edge {name}")

    async def __call__(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Return what `work` returns for the arguments."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


@dataclass(frozen=True)
class MediaThreads:
    """One thread for bodies and base64, one for pictures, and one for the requests that have videos.

    More of a kind would not be faster, because pictures are decoded one at a time anyway, and each
    would keep as much memory as its largest picture needed.
    """

    reader: InThread = field(default_factory=lambda: OneThread("reader"))
    pictures: InThread = field(default_factory=lambda: OneThread("pictures"))
    videos: InThread = field(default_factory=lambda: OneThread("videos"))
