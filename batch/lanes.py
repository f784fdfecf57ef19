"""Lanes: several questions on their way at once, each through all stages, beside each other.

    group  ->  pictures decoded ahead, in a thread  ->  a free lane: encode, prefill, generate  ->  rows

A lane has a language model of its own, whose weights llama.cpp maps from the same file; the encoder's weights are
shared. While one lane generates, another encodes, and cores that one question cannot use are not idle. See
docs/batches.md for what was measured, and for what was tried instead.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import takewhile
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

from uhd_edge.batch.answering import answer_group, decode_group, with_prepared_schema
from uhd_edge.engines.engine import ClosedByWith
from uhd_edge.engines.threads import usable_cores
from uhd_edge.runtime.answering import OpenModels
from uhd_edge.runtime.assistant import SESSION_BYTES
from uhd_edge.runtime.budget.cost_book import CostBook
from uhd_edge.runtime.budget.planning import Planner
from uhd_edge.runtime.conversation.prompt_memory import PromptMemory
from uhd_edge.runtime.llm.opening import open_language_model
from uhd_edge.runtime.validation import MOST_THREADS, require_whole
from uhd_edge.runtime.vision.encoder import VisionEncoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from uhd_edge.batch.answering import Decoded
    from uhd_edge.batch.groups import Group
    from uhd_edge.batch.order import Asking
    from uhd_edge.batch.row import Row

Rows: TypeAlias = "tuple[Row, ...]"

MOST_LANES = 4  # by default: each takes memory for its context and for the activations of a picture
AHEAD = 3  # groups for each lane that are decoded, waiting or being answered
WINDOW = 64  # groups that are answered before an earlier one is


@dataclass(frozen=True)
class LaneCount:
    """How many lanes, and how many threads each of them has."""

    lanes: int
    threads: int


def count_lanes(lanes: int | None = None, threads: int | None = None) -> LaneCount:
    """Share `threads` (the usable cores) among the lanes; raises `OptionError` for invalid numbers."""
    cores = usable_cores() if threads is None else require_whole("threads", threads, 1, MOST_THREADS)
    chosen = min(cores, MOST_LANES) if lanes is None else require_whole("lanes", lanes, 1, MOST_THREADS)
    return LaneCount(chosen, max(1, cores // chosen))


class Lanes(ClosedByWith):
    """Open lanes; close them, or use them with `with`.

    Raises what `Assistant` raises when something cannot be opened. Nothing is cached between groups, so that answers
    do not depend on what was asked before.
    """

    def __init__(self, asking: Asking, count: LaneCount) -> None:
        self._asking, self._count = with_prepared_schema(asking), count
        self._stopping = threading.Event()
        opening, bundle = asking.opening, asking.bundle
        with ExitStack() as opened:
            encoder = opened.enter_context(
                VisionEncoder(
                    bundle,
                    mode=opening.mode,
                    max_slices=opening.max_slices,
                    engine=opening.engine,
                    precision=opening.precision,
                    threads=count.threads,
                    cache_bytes=0,
                )
            )
            encoder.open_mode(encoder.mode)
            self._free: SimpleQueue[OpenModels] = SimpleQueue()
            for _ in range(count.lanes):
                models = self._open_models(encoder, opened)
                self._free.put(models)
            self.notes = (*models.language_model.notes, *encoder.notes)
            self._opened = opened.pop_all()

    def answer(self, groups: Iterator[Group], *, ordered: bool = True) -> Iterator[Rows]:
        """Answer groups, and yield the rows of each in the order of the groups, or else as they are ready.

        Raises `ModelError` when the language model fails, and what `groups` raises. Closing the generator ends the
        answers that are on their way within a step.
        """
        self._stopping.clear()
        with (
            ThreadPoolExecutor(self._count.lanes, "decoding") as decoders,
            ThreadPoolExecutor(self._count.lanes, "lane") as lanes,
        ):
            try:
                yield from self._in_lanes(groups, decoders, lanes, ordered=ordered)
            finally:
                self._stopping.set()
                lanes.shutdown(wait=False, cancel_futures=True)
                decoders.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Close the engines and the language models. Safe to call twice."""
        self._opened.close()

    def _open_models(self, encoder: VisionEncoder, opened: ExitStack) -> OpenModels:
        asking, threads = self._asking, self._count.threads
        model = opened.enter_context(
            open_language_model(
                asking.bundle, context=asking.opening.context, threads=threads, gpu_layers=asking.opening.gpu_layers
            )
        )
        manifest = asking.bundle.manifest
        planner = Planner(manifest, model, CostBook(encoder, model, threads=threads))
        return OpenModels(manifest, encoder, model, PromptMemory(model, limit=SESSION_BYTES), planner)

    def _in_lanes(
        self, groups: Iterator[Group], decoders: ThreadPoolExecutor, lanes: ThreadPoolExecutor, *, ordered: bool
    ) -> Iterator[Rows]:
        window: dict[Future[Rows], None] = {}  # in the order of the groups
        unfinished: set[Future[Rows]] = set()
        more = True
        while more or window:
            while more and len(unfinished) < AHEAD * self._count.lanes and len(window) < WINDOW:
                group = next(groups, None)
                if group is None:
                    more = False
                    break
                decoding = decoders.submit(decode_group, group, self._asking.bundle.manifest)
                answering = lanes.submit(self._answer, group, decoding)
                window[answering] = None
                unfinished.add(answering)
            for answering in _ready(window, ordered=ordered):
                del window[answering]
                yield answering.result()
            if unfinished:
                _, unfinished = wait(unfinished, return_when=FIRST_COMPLETED)

    def _answer(self, group: Group, decoding: Future[Decoded]) -> Rows:
        decoded = decoding.result()
        models = self._free.get()
        try:
            return answer_group(group, decoded, self._asking, models, self._stopping.is_set)
        finally:
            self._free.put(models)


def _ready(window: Iterable[Future[Rows]], *, ordered: bool) -> list[Future[Rows]]:
    """What is answered: of the groups one after another, or else of any."""
    answered = takewhile if ordered else filter
    return list(answered(Future.done, window))
