"""What `/metrics` tells Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.runtime.answer import Answer

SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


class Metrics:
    """Counts of one server; `waiting` says how many questions wait for their turn."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._registry = own = CollectorRegistry()
        self._requests = Counter(
            "uhd_requests", "Requests by path and status; 499 is a client that left.", ["path", "status"], registry=own
        )
        self._seconds = Histogram(
            "uhd_answer_seconds", "From a question's turn to the end of its answer.", buckets=SECONDS, registry=own
        )
        self._tokens = Counter("uhd_tokens", "Tokens read (vision, text) and written (answer).", ["kind"], registry=own)
        self._stages = Counter("uhd_stage_seconds", "Seconds per stage of answering.", ["stage"], registry=own)
        self._views = Counter(
            "uhd_views", "Views of images by where their embeddings came from.", ["source"], registry=own
        )
        Gauge("uhd_queue_depth", "Questions that wait for their turn.", registry=own).set_function(waiting)

    def requested(self, path: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()

    def answered(self, answer: Answer) -> None:
        """Count an answer and what it took."""
        usage = answer.usage
        self._tokens.labels("vision").inc(usage.vision_tokens)
        self._tokens.labels("text").inc(usage.prompt_tokens - usage.vision_tokens)
        self._tokens.labels("answer").inc(usage.completion_tokens)
        for stage, milliseconds in answer.timings_ms.items():
            if stage not in ("first_token", "total"):
                self._stages.labels(stage).inc(milliseconds / 1e3)
        self._seconds.observe(answer.timings_ms["total"] / 1e3)
        self._views.labels("cache").inc(answer.reused_views)
        self._views.labels("encoder").inc(len(answer.views) - answer.reused_views)

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)
