"""Measures how long `uhd ask` takes, and which share of that time is spent in this project's own Python code.

    python benchmarks/own_share.py examples/sliced.jpg "How many circles are there?"

Prints the seconds of a whole process by the clock. From a profiled run, it prints the share of the
time in functions of `uhd_edge` itself: not in engines, llama.cpp, Pillow, numpy, or imports of
other packages. The exit code is 1 if one of the limits below is exceeded.
"""

from __future__ import annotations

import cProfile
import functools
import pstats
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RUNS = 5
MOST_SECONDS = 3.0
LARGEST_SHARE = 0.05
PACKAGE_FOLDERS = ("bench", "calibration", "cli", "engines", "export", "runtime", "server", "tiny")


def seconds_of_a_process(arguments: list[str]) -> float:
    """The median seconds that `uhd` with `arguments` takes from start to exit."""
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "uhd_edge.cli", *arguments], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[RUNS // 2]


def name_calls_into_llama() -> None:
    """Put a Python frame around each function of llama.cpp, because a profiler does not see ctypes calls."""
    from llama_cpp import llama_cpp as api

    for name, function in vars(api).items():
        if name.startswith(("llama_", "ggml_")) and callable(function) and not isinstance(function, type):
            setattr(api, name, _framed(function))


def _framed(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def framed(*arguments: Any) -> Any:
        return function(*arguments)

    return framed


def own_share(arguments: list[str]) -> float:
    """The share (0 to 1) of a profiled run's time that is spent in our own functions."""
    from uhd_edge.cli.main import exit_code

    name_calls_into_llama()
    profile = cProfile.Profile()
    profile.runcall(exit_code, arguments)
    statistics = pstats.Stats(profile)
    root = Path(__file__).resolve().parents[1]
    folders = tuple(f"{root / folder}/" for folder in PACKAGE_FOLDERS)
    rows: dict[tuple[str, int, str], tuple[int, int, float, float, Any]] = statistics.stats  # type: ignore[attr-defined]
    own = {where: row[2] for where, row in rows.items() if where[0].startswith(folders)}
    runtime = sum(seconds for where, seconds in own.items() if where[0].startswith(str(root / "runtime")))
    total: float = statistics.total_tt  # type: ignore[attr-defined]
    print(f"  {1000 * runtime:6.1f} ms  runtime/ alone, {100 * runtime / total:.2f} % of the profiled run")
    for (file, line, function), seconds in sorted(own.items(), key=lambda item: -item[1])[:5]:
        print(f"  {1000 * seconds:6.1f} ms  {Path(file).relative_to(root)}:{line} {function}")
    return sum(own.values()) / total


def main() -> None:
    """Measure `uhd ask` with the arguments of this script."""
    arguments = ["ask", *sys.argv[1:]]
    seconds = seconds_of_a_process(arguments)
    share = own_share(arguments)
    print(
        f"{seconds:.2f} s from start to exit (median of {RUNS}), "
        f"{100 * share:.1f} % of the profiled run spent in our own code"
    )
    sys.exit(seconds > MOST_SECONDS or share > LARGEST_SHARE)


if __name__ == "__main__":
    main()
