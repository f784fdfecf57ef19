"""A cache of embeddings by view, limited in bytes."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from uhd_edge.engines.engine import Engine
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.vision.slicing import View
    from uhd_edge.runtime.vision.vision_engines import VisionEngines

# Overhead of an entry beside its arrays: keys, dataclass, dictionary.
ENTRY_BYTES = 1024

OpenEngines: TypeAlias = "tuple[Mode, Engine, Engine]"


@dataclass(frozen=True)
class ContentKey:
    """What an embedding depends on: a view's pixels, its shape, and the engines.

    An open engine is one graph in one precision on one provider, so the engine object
    identifies all three.
    """

    digest: bytes
    rows: int
    columns: int
    engines: OpenEngines


@dataclass(frozen=True)
class PlaceKey:
    """The place of a view: number `index` in images of `size` (width, height) cut by `grid`."""

    size: tuple[int, int]
    grid: tuple[int, int]
    index: int
    engines: OpenEngines


@dataclass(frozen=True, eq=False)
class Kept:
    """Embeddings float32 [tokens, d_llm] of the view `content`, and its uint8 pixels [H, W, 3] where needed.

    Both are read-only copies, so that no caller can change them for others.
    """

    content: ContentKey
    embeddings: NDArray[np.float32]
    pixels: NDArray[np.uint8] | None = None

    @property
    def size(self) -> int:
        """Size in bytes."""
        return ENTRY_BYTES + self.embeddings.nbytes + (0 if self.pixels is None else self.pixels.nbytes)


@dataclass(frozen=True)
class Shares:
    """Who encodes what: this thread `mine`, other threads `elsewhere`; a thread that fails gives None.

    `found` was finished by another thread since the lookup.
    """

    found: tuple[Kept, ...]
    mine: tuple[ContentKey, ...]
    elsewhere: tuple[Future[Kept | None], ...]


def identify_engines(engines: VisionEngines) -> OpenEngines:
    """Return what an embedding depends on."""
    return engines.mode, engines.encoder, engines.connector


def content_key(view: View, engines: OpenEngines) -> ContentKey:
    """Identify a view by the SHA-256 of its pixels.

    It is collision-resistant, and the fastest such digest where the processor has
    instructions for it: 0.4 ms for 448 x 448 pixels, against 0.6 ms with BLAKE2b.
    """
    digest = hashlib.sha256(np.ascontiguousarray(view.pixels).data).digest()
    return ContentKey(digest, view.rows, view.columns, engines)


class ViewCache:
    """Keeps the most recently used views, at most `limit` bytes of them. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[ContentKey | PlaceKey, Kept] = OrderedDict()
        self._size = 0
        self._begun: dict[ContentKey, Future[Kept | None]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes in the cache now."""
        return self._size

    def find(self, key: ContentKey | PlaceKey) -> Kept | None:
        """Return what is kept under `key`, and mark it as the most recently used."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
            return kept

    def keep(self, key: ContentKey | PlaceKey, kept: Kept) -> None:
        """Keep an entry as the most recently used, and drop the oldest until all fit; one too large is not kept."""
        with self._lock:
            before = self._kept.pop(key, None)
            self._size += kept.size - (0 if before is None else before.size)
            self._kept[key] = kept
            while self._size > self._limit:
                _, oldest = self._kept.popitem(last=False)
                self._size -= oldest.size

    @contextmanager
    def sharing(self, wanted: Sequence[ContentKey]) -> Iterator[Shares]:
        """Divide the encoding of `wanted` among the threads that need it, so that each view is encoded once.

        Inside, the thread encodes `mine` and reports each view with `done`. What it has not
        done at the end, because something failed, is left to other threads.
        """
        with self._lock:
            found = tuple(self._kept[key] for key in wanted if key in self._kept)
            elsewhere = tuple(self._begun[key] for key in wanted if key in self._begun and key not in self._kept)
            mine = tuple(key for key in wanted if key not in self._begun and key not in self._kept)
            self._begun.update({key: Future() for key in mine})
        try:
            yield Shares(found, mine, elsewhere)
        finally:
            for key in mine:
                self._end(key, None)

    def done(self, kept: Kept) -> None:
        """Keep a view that this thread has encoded, and give it to the threads that wait for it."""
        self.keep(kept.content, kept)
        self._end(kept.content, kept)

    def clear(self) -> None:
        """Empty the cache."""
        with self._lock:
            self._kept.clear()
            self._size = 0

    def _end(self, key: ContentKey, kept: Kept | None) -> None:
        with self._lock:
            begun = self._begun.pop(key, None)
        if begun is not None:
            begun.set_result(kept)
