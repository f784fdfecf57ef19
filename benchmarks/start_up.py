"""Measures how long `uhd ask` takes from the start of its process to the first piece of the answer, and to its exit.

    python benchmarks/start_up.py [IMAGE QUESTION]

Starts the command with the built-in model several times. It takes turns with a Python process that
only imports numpy, Pillow, ONNX Runtime and llama.cpp, which every start needs. Prints the medians.
The first start is not counted, so files are in the page cache. Then it prints the phases of one
start, as `--json` reports them, and the packages that take longest to import. The exit code is 1
if the first piece takes a second or more.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

RUNS = 15
MOST_MILLISECONDS = 1000.0
QUESTION = ("examples/bench.png", "How many circles are there?")

ASK = (sys.executable, "-m", "uhd_edge.cli", "ask")
FLOOR = (sys.executable, "-c", "import numpy, PIL.Image, onnxruntime\nfrom llama_cpp import llama_cpp\nprint()")


def start(command: tuple[str, ...]) -> tuple[float, float]:
    """Milliseconds from the start of `command` to its first output, and to its exit."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as process:
        assert process.stdout is not None  # noqa: S101  # because of stdout=PIPE
        process.stdout.read(1)
        first = time.perf_counter()
        process.stdout.read()
        process.wait()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return 1e3 * (first - begin), 1e3 * (time.perf_counter() - begin)


def print_phases(arguments: tuple[str, ...]) -> None:
    """Print the phases that the command itself reports, and the longest imports."""
    output = subprocess.run([*ASK, *arguments, "--json"], check=True, capture_output=True).stdout
    answer = json.loads(output)
    for name in ("opening_ms", "timings_ms"):
        print(f"{name}: " + ", ".join(f"{stage} {value:.0f}" for stage, value in answer[name].items()))
    command = [sys.executable, "-X", "importtime", *ASK[1:], *arguments]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    rows = [line.removeprefix("import time:").split("|") for line in report.splitlines() if line.count("|") == 2]
    times = {name.strip(): int(total) / 1e3 for _, total, name in rows if total.strip().isdigit()}
    longest = sorted(times.items(), key=lambda row: -row[1])[:25]
    print("imports, including what they import: " + ", ".join(f"{name} {value:.0f}" for name, value in longest))


def main() -> None:
    """Measure the given image and question, or those of the example."""
    arguments = tuple(sys.argv[1:]) or QUESTION
    commands = {"uhd ask": (*ASK, *arguments), "imports alone": FLOOR}
    rounds = [[start(command) for command in commands.values()] for _ in range(RUNS + 1)][1:]
    medians = [
        [statistics.median(column) for column in zip(*times, strict=True)] for times in zip(*rounds, strict=True)
    ]
    for name, (first, end) in zip(commands, medians, strict=True):
        print(f"{name}: {first:.0f} ms to the first output, {end:.0f} ms to the exit (medians of {RUNS})")
    print_phases(arguments)
    sys.exit(medians[0][0] >= MOST_MILLISECONDS)


if __name__ == "__main__":
    main()
