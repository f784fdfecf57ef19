"""The metrics at `/metrics`, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uhd_edge.runtime.answer import Answer

SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


class _Pieces(Collector):
    """The pieces of text that the model has written; of answers that nobody waited for, nothing else is counted."""

    def __init__(self, written: Callable[[], int]) -> None:
        self._written = written

    def collect(self) -> Iterator[CounterMetricFamily]:
        meaning = "Pieces of text that were written, about one a token, those of answers that were stopped included."
        yield CounterMetricFamily("uhd_pieces", meaning, value=self._written())


class Metrics:
    """Metrics of one server; `waiting` returns how many questions wait, `pieces` how many pieces were written."""

    def __init__(self, waiting: Callable[[], int], pieces: Callable[[], int]) -> None:
        self._registry = own = CollectorRegistry()
        self._requests = Counter(
            "uhd_requests",
            "Requests by path and status; 499 is a client that disconnected.",
            ["path", "status"],
            registry=own,
        )
        self._seconds = Histogram(
            "uhd_answer_seconds", "Seconds from the start of an answer to its end.", buckets=SECONDS, registry=own
        )
        self._tokens = Counter("uhd_tokens", "Tokens of prompts (vision, text) and of answers.", ["kind"], registry=own)
        self._stages = Counter("uhd_stage_seconds", "Seconds per stage of answering.", ["stage"], registry=own)
        self._views = Counter(
            "uhd_views", "Views of images, by the source of their embeddings.", ["source"], registry=own
        )
        Gauge("uhd_queue_depth", "Questions that are waiting.", registry=own).set_function(waiting)
        own.register(_Pieces(pieces))

    def requested(self, path: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()

    def answered(self, answer: Answer) -> None:
        """Count an answer, with its tokens, views and stages."""
        usage = answer.usage
        self._tokens.labels("vision").inc(usage.vision_tokens)
        self._tokens.labels("text").inc(usage.prompt_tokens - usage.vision_tokens)
        written = sum(one.usage.completion_tokens for one in (answer, *answer.alternatives))
        self._tokens.labels("answer").inc(written)
        for stage, milliseconds in answer.timings_ms.items():
            if stage not in ("first_token", "total"):
                self._stages.labels(stage).inc(milliseconds / 1e3)
        self._seconds.observe(answer.timings_ms["total"] / 1e3)
        self._views.labels("cache").inc(answer.reused_views)
        self._views.labels("encoder").inc(len(answer.views) - answer.reused_views)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
