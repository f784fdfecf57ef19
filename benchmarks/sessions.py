"""What ten questions about one picture take in a session, beside ten questions asked anew.

    python benchmarks/sessions.py [--bundle DIR] [--questions N] [--rounds N]

The picture is a bench scene of 640 x 480 pixels with questions that uhd-tiny knows.

The two kinds are interleaved, so background load and throttling affect both equally. A session's
first question is counted separately: it encodes and reads the picture, as every question
asked anew does. "anew, embeddings kept" has the assistant's cache of views, which spares
the encoder a picture it has seen, and reads it again all the same.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.runtime import Assistant
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.questions import MEASURED_KINDS, ask
from uhd_edge.tiny.world.scenes import SLICED, draw_scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

SEED = "benchmark/sessions"
SCENE = draw_scene(SEED, SLICED, (640, 480))


def main() -> None:
    """Print the times and the ratio that a session is judged by."""
    options = _options()
    image = draw_picture(SCENE)
    questions = [
        ask(SCENE, MEASURED_KINDS[n % len(MEASURED_KINDS)], f"{SEED}/{n}").text for n in range(options.questions)
    ]
    with ExitStack() as stack:
        plain, caching = (
            stack.enter_context(Assistant(options.bundle, cache_bytes=cache_bytes)) for cache_bytes in (0, 64 * 2**20)
        )
        ways: dict[str, Callable[[str], float]] = {
            "anew": lambda question: _milliseconds(partial(plain.ask, image, question)),
            "anew, embeddings kept": lambda question: _milliseconds(partial(caching.ask, image, question)),
        }
        rows = [_round(plain, image, ways, questions) for _ in range(options.rounds)]
    median = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    for name, milliseconds in median.items():
        sys.stdout.write(f"{name:36} {milliseconds:8.1f} ms a question\n")
    for name in ways:
        ratio = median["session, after the first"] / median[name]
        sys.stdout.write(f"a further question is {ratio:.0%} of one asked {name}\n")


def _round(
    assistant: Assistant, image: Image.Image, ways: dict[str, Callable[[str], float]], questions: list[str]
) -> dict[str, float]:
    """Ask the same questions in every way, in turn; returns milliseconds a question."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    of_session = []
    with assistant.session(image) as session:
        for question in questions:
            of_session.append(_milliseconds(partial(session.ask, question)))
            for name, milliseconds in ways.items():
                times[name].append(milliseconds(question))
    return {
        **{name: statistics.mean(taken) for name, taken in times.items()},
        "session, the first": of_session[0],
        "session, after the first": statistics.mean(of_session[1:]),
    }


def _milliseconds(ask: Callable[[], object]) -> float:
    start = time.perf_counter()
    ask()
    return 1e3 * (time.perf_counter() - start)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What ten questions about one picture take in a session.")
    parser.add_argument("--bundle", type=Path, help="without it the built-in uhd-tiny")
    parser.add_argument("--questions", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
