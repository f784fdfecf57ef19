"""Measures tokens per second of prefill and decode, with several settings for threads.

    python benchmarks/decode.py [BUNDLE | FILE.gguf] [--rounds 3]

The settings are: the runtime's own; one thread; all cores; all cores, with threads that sleep as
soon as they have to wait; and all cores, with threads that spin for milliseconds first, which is
the default of GCC's OpenMP. They take turns, each in a process of its own. All are measured twice:
on the machine as it is, and beside another process that keeps one core busy. Prints the medians.
Without an argument, it measures the built-in bundle.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.engines.threads import usable_cores
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPT = "0123456789 " * 20
MOST_TOKENS, MOST_SECONDS = 300, 2.0
CHILD = "--measure"

ALL = str(usable_cores())
# The number of threads ("" is the runtime's own choice), and environment variables that say how they wait.
SETTINGS: dict[str, tuple[str, dict[str, str]]] = {
    "as the runtime has it": ("", {}),
    "one thread": ("1", {}),
    f"{ALL} threads": (ALL, {}),
    f"{ALL}, sleeping at once": (ALL, {"OMP_WAIT_POLICY": "passive"}),
    f"{ALL}, spinning": (ALL, {"GOMP_SPINCOUNT": "300000"}),
}


def measure(file: Path, threads: int | None) -> tuple[float, float]:
    """Tokens per second of prefill and of decode."""
    with LanguageModel(file, context=2048, threads=threads) as model:
        best = 0.0
        for _ in range(4):  # the first run warms up
            model.clear()
            begin = time.perf_counter()
            model.prefill([model.vocabulary.tokenize(PROMPT)])
            best = max(best, model.position / (time.perf_counter() - begin))
        tokens = model.generate(Sampling(), max_tokens=MOST_TOKENS)
        next(tokens)
        begin, count = time.perf_counter(), 0
        for _ in tokens:
            count += 1
            if time.perf_counter() - begin > MOST_SECONDS:
                break
        return best, count / (time.perf_counter() - begin)


def measured(file: Path, threads: str, environment: dict[str, str]) -> tuple[float, float]:
    """Measure in a new process, because OpenMP reads its environment variables only once."""
    clean = {name: value for name, value in os.environ.items() if name not in {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}}
    command = [sys.executable, __file__, CHILD, str(file), threads]
    output = subprocess.run(command, env=clean | environment, check=True, capture_output=True, text=True).stdout
    reading, generating = json.loads(output)
    return reading, generating


@contextmanager
def busy_process(wanted: bool) -> Iterator[None]:
    """Keep one core busy inside the `with` block, if `wanted`."""
    if not wanted:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def find_language_model(path: str | None) -> Path:
    """The GGUF at `path`, or that of the bundle at `path`."""
    if path is not None and path.endswith(".gguf"):
        return Path(path)
    return Bundle.open(path).llm_path if path is not None else Bundle.open().llm_path


def main() -> None:
    """Measure the settings in turns, and print the medians."""
    if sys.argv[1:2] == [CHILD]:
        print(json.dumps(measure(Path(sys.argv[2]), int(sys.argv[3]) if sys.argv[3] else None)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    file = find_language_model(arguments.bundle)
    print(
        f"{'tokens per second':25} {'read':>9} {'generated':>9}   beside a busy process: {'read':>9} {'generated':>9}"
    )
    rounds = []
    for _ in range(arguments.rounds):
        round_ = {}
        for busy in (False, True):
            with busy_process(busy):
                for name, setting in SETTINGS.items():
                    round_[name, busy] = measured(file, *setting)
        rounds.append(round_)
    for name in SETTINGS:
        medians = [[statistics.median(r[name, busy][i] for r in rounds) for i in (0, 1)] for busy in (False, True)]
        (read, generated), (read_busy, generated_busy) = medians
        print(f"{name:25} {read:9.0f} {generated:9.1f} {'':24} {read_busy:9.0f} {generated_busy:9.1f}")


if __name__ == "__main__":
    main()
