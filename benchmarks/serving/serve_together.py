"""Compares `uhd serve` with and without `--one-at-a-time`: mixed load, and short questions beside a long answer.

    python benchmarks/serving/serve_together.py [CLIENTS] [REQUESTS] [ROUNDS] [--bundle BUNDLE] [--before TREE]

All ways are measured in each round, one after the other, so that what else the machine does disturbs all. `TREE` is a
folder with an earlier version of this project, which is measured as it answers without being told how. Of the
mixed requests a quarter is about a picture of its own, a quarter has a long answer, and half are short questions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time

from serve_load import a_server, about_a_picture, ask_server, put_load

WAYS: dict[str, tuple[str, ...]] = {"one at a time": ("--one-at-a-time",), "four at once": ("--at-once", "4")}
SHORT_QUESTIONS = 20
LONG = {"type": "array", "items": {"type": "integer"}, "minItems": 2000}


def main() -> None:
    """Print a line for each way and round. The exit code is 1 if a request was lost."""
    parser = argparse.ArgumentParser()
    for name, default in (("clients", 8), ("requests", 400), ("rounds", 2)):
        parser.add_argument(name, type=int, nargs="?", default=default)
    parser.add_argument("--bundle")
    parser.add_argument("--before")
    given = parser.parse_args()
    clients, requests, rounds = given.clients, given.requests, given.rounds
    ways = WAYS if given.before is None else {"before": (), **WAYS}
    bundle = [] if given.bundle is None else [given.bundle]
    lost = 0
    for number in range(rounds):
        for way, arguments in ways.items():
            tree = given.before if way == "before" else None
            with a_server(*bundle, "--queue", str(clients), *arguments, tree=tree) as (server, address):
                load = put_load(server, address, [_mixed(place) for place in range(requests)], clients)
                waits = sorted(_beside_a_long_answer(address))
            lost += requests - load.statuses[200]
            print(
                f"round {number + 1}, {way}: {requests / load.seconds:.1f} requests a second, {dict(load.statuses)}, "
                f"memory {load.early_memory / 1e6:.0f} to {load.last_memory / 1e6:.0f} MB; a short question beside a "
                f"long answer: median {1e3 * statistics.median(waits):.0f} ms, "
                f"95 of 100 within {1e3 * waits[int(0.95 * len(waits))]:.0f} ms",
                flush=True,
            )
    sys.exit(1 if lost else 0)


def _mixed(number: int) -> bytes:
    if number % 4 == 0:
        return about_a_picture(number)
    return _long(number, 150) if number % 4 == 2 else _short(number)


def _short(number: int) -> bytes:
    return _body(f"What is {number} and {number + 1}?", max_tokens=12)


def _long(number: int, tokens: int) -> bytes:
    schema = {"type": "json_schema", "json_schema": {"name": "numbers", "schema": LONG}}
    return _body(f"Count from {number}.", max_tokens=tokens, response_format=schema, stream=True)


def _body(text: str, **settings: object) -> bytes:
    return json.dumps({"model": "uhd-tiny", "messages": [{"role": "user", "content": text}], **settings}).encode()


def _beside_a_long_answer(address: tuple[str, int]) -> list[float]:
    """Ask short questions while there is always a long answer, and return the seconds that each took."""
    done = threading.Event()

    def ask_long() -> None:
        while not done.is_set():
            ask_server(address, _long(0, 800))

    asking = threading.Thread(target=ask_long)
    asking.start()
    waits = []
    for number in range(SHORT_QUESTIONS):
        start = time.perf_counter()
        if ask_server(address, _short(number)) != 200:
            sys.exit("a short question was not answered")
        waits.append(time.perf_counter() - start)
    done.set()
    asking.join()
    return waits


if __name__ == "__main__":
    main()
