"""Compares ten questions about one picture in a session with ten questions that are each asked alone.

    python benchmarks/sessions.py [--bundle DIR] [--questions N] [--rounds N]

The picture is a scene of 640x480 pixels, with questions that uhd-tiny can answer. The two kinds are
interleaved, so background load and throttling affect both equally.

The first question of a session is counted separately. It encodes the picture and reads its
embeddings, as every question that is asked alone does. "alone, embeddings cached" uses the
assistant's cache of views: the picture is not encoded again, but its embeddings are read again.
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
    """Print the times, and the ratio of a further question in a session to one asked alone."""
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
            "alone": lambda question: _milliseconds(partial(plain.ask, image, question)),
            "alone, embeddings cached": lambda question: _milliseconds(partial(caching.ask, image, question)),
        }
        rows = [_round(plain, image, ways, questions) for _ in range(options.rounds)]
    median = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    for name, milliseconds in median.items():
        sys.stdout.write(f"{name:36} {milliseconds:8.1f} ms per question\n")
    for name in ways:
        ratio = median["session, further questions"] / median[name]
        sys.stdout.write(f"a further question takes {ratio:.0%} of the time of one asked {name}\n")


def _round(
    assistant: Assistant, image: Image.Image, ways: dict[str, Callable[[str], float]], questions: list[str]
) -> dict[str, float]:
    """Ask the same questions in each way, in turns. Returns milliseconds per question."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    of_session = []
    with assistant.session(image) as session:
        for question in questions:
            of_session.append(_milliseconds(partial(session.ask, question)))
            for name, milliseconds in ways.items():
                times[name].append(milliseconds(question))
    return {
        **{name: statistics.mean(taken) for name, taken in times.items()},
        "session, first question": of_session[0],
        "session, further questions": statistics.mean(of_session[1:]),
    }


def _milliseconds(ask: Callable[[], object]) -> float:
    start = time.perf_counter()
    ask()
    return 1e3 * (time.perf_counter() - start)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare questions in a session with questions asked alone.")
    parser.add_argument("--bundle", type=Path, help="bundle folder (default: the built-in uhd-tiny)")
    parser.add_argument("--questions", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
