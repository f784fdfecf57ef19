"""Competitors that take turns, each in a process of its own that keeps its weights open."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from uhd_edge.bench.memory import peak_memory

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Setting = TypeVar("Setting")
Result = TypeVar("Result")

PAUSE = 0.3  # seconds between two competitors: threads of the first may still spin


@dataclass(frozen=True)
class Competitor(Generic[Setting, Result]):
    """How to open a competitor: it then takes RGB pixels [H, W, 3]. `install` says how to install it."""

    open: Callable[[Setting], Callable[[NDArray[np.uint8]], Result]]
    install: str


Find: TypeAlias = Callable[[str], Competitor[Setting, Result]]


@dataclass
class Lane(Generic[Result]):
    """The process of one competitor, and the seconds that it took to open."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection
    opening: float
    gigabytes: float = 0.0

    def turn(self, picture: Path) -> tuple[float, Result]:
        """Let it work on a picture; returns its seconds and its result."""
        self.pipe.send(str(picture))
        seconds, result = self.pipe.recv()
        time.sleep(PAUSE)
        return seconds, result

    def end(self) -> None:
        """Ask for the peak of its memory, and end it."""
        self.pipe.send("")
        self.gigabytes = self.pipe.recv()
        self.process.join()


def serve(find: Find[Setting, Result], name: str, setting: Setting, pipe: Connection) -> None:
    """Open a competitor, then give it each picture whose path comes through `pipe`. An empty path ends it."""
    started = time.perf_counter()
    try:
        work = find(name).open(setting)
    except Exception as error:  # any error of an import or of opening ends this competitor only
        pipe.send(f"{type(error).__name__}: {' '.join(str(error).split())[:160]}")
        return
    pipe.send(time.perf_counter() - started)
    while path := pipe.recv():
        pixels = np.asarray(Image.open(path).convert("RGB"))
        started = time.perf_counter()
        result = work(pixels)
        pipe.send((time.perf_counter() - started, result))
    pipe.send(peak_memory() / 1e9)


@contextmanager
def open_lanes(
    names: Iterable[str], find: Find[Setting, Result], setting: Setting
) -> Iterator[dict[str, Lane[Result]]]:
    """Open the competitors one after the other, and print which ones cannot be; they end with the block.

    `find` gives a competitor by its name. It is called in the competitor's process, so it must be a module's function.
    """
    context = multiprocessing.get_context("spawn")
    lanes: dict[str, Lane[Result]] = {}
    for name in names:
        pipe, end = context.Pipe()
        process = context.Process(target=serve, args=(find, name, setting, end), daemon=True)
        process.start()
        end.close()
        try:
            opened = pipe.recv()
        except EOFError:  # a crash or the system's killer
            process.join()
            opened = f"its process ended with exit code {process.exitcode}"
        if isinstance(opened, str):
            install = find(name).install
            print(f"without {name}: {opened}{f'; {install}' if install else ''}", flush=True)
            continue
        lanes[name] = Lane(process, pipe, opened)
    yield lanes
    for lane in lanes.values():
        lane.end()


def take_turns(
    lanes: Mapping[str, Lane[Result]], warm_up: Path, picture: Path, runs: int
) -> dict[str, list[tuple[float, Result]]]:
    """Let each lane work on `warm_up` once, then on `picture` `runs` times, in turns."""
    for lane in lanes.values():
        lane.turn(warm_up)
    taken: dict[str, list[tuple[float, Result]]] = {name: [] for name in lanes}
    for _ in range(runs):
        for name, lane in lanes.items():
            taken[name].append(lane.turn(picture))
    return taken
