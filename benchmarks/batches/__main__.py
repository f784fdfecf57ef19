"""Measures `uhd batch`: its speed beside a loop over `ask`, what kills leave of it, and its memory.

    python benchmarks/batches [--pictures 2000] [--kills 10] [--many 10000] [--seed 0]

Pictures are drawn from the world of uhd-tiny, every fourth one large enough to be sliced. Speed is that of rounds of
40 pictures, loop and lanes by turns, with everything open; beside each stands what other programs took. Then a run over
all pictures is killed (SIGKILL) at drawn moments and started again, until nobody kills it; its rows have to be those of
an unbroken run, byte for byte. The last run is over `--many` rows, and its memory is looked at on the way. Exit code 1
when rows differ.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import numpy as np

from uhd_edge.batch.groups import read_groups
from uhd_edge.batch.lanes import Lanes, count_lanes
from uhd_edge.batch.order import Asking, Opening, Order
from uhd_edge.rows.source import open_source
from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.scenes import SINGLE, SLICED, draw_scene

QUESTION = "How many triangles are there?"
ROUND, ROUNDS = 40, 7
SCENES = 40


@dataclass(frozen=True)
class Measured:
    """Pictures a second, processor time of each in milliseconds, and how many cores other programs took."""

    rate: float
    cost: float
    others: float

    def __str__(self) -> str:
        return f"{self.rate:.1f} pictures/s, {self.cost:.0f} ms of processor time each, others {self.others:.1f} cores"


def draw(folder: Path, count: int) -> list[Path]:
    """Draw pictures, and return their files; scenes come again, each time with something else in a corner."""
    folder.mkdir()
    worlds = [SINGLE if number % 4 else SLICED for number in range(SCENES)]
    scenes = [draw_picture(draw_scene(f"batch/{number}", world)) for number, world in enumerate(worlds)]
    for number in range(count):
        picture = scenes[number % SCENES].copy()
        picture.paste((number % 256, number // 256 % 256, 90), (0, 0, 8, 8))
        picture.save(folder / f"{number:05}.png", compress_level=1)
    return sorted(folder.iterdir())


def list_of(files: list[Path], file: Path) -> Path:
    """Write a list of pictures as `uhd batch` takes it."""
    file.write_text("".join(f"{one}\n" for one in files))
    return file


def busy_seconds() -> float:
    """Processor time that all programs of this machine have taken since it started."""
    ticks = [int(text) for text in Path("/proc/stat").read_text().split(maxsplit=9)[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # without idle and waiting for disks


def measure_round(way: Callable[[], object]) -> Measured:
    """Time one round of `ROUND` pictures."""
    start, busy, own = time.perf_counter(), busy_seconds(), time.process_time()
    way()
    seconds, own = time.perf_counter() - start, time.process_time() - own
    others = max(0.0, busy_seconds() - busy - own) / seconds
    return Measured(ROUND / seconds, 1e3 * own / ROUND, others)


def measure_speed(files: list[Path], scratch: Path) -> None:
    """Print rounds of a loop with the usual threads, a loop with one, and lanes, and what others took meanwhile."""
    files = files[:ROUND]
    source = open_source(str(list_of(files, scratch / "round.txt")), {})
    order = Order(Asking(Bundle.open(), Opening(), {"max_tokens": 16}), source, (QUESTION,))
    with (
        Assistant(cache_bytes=0) as usual,  # every round is about the same pictures
        Assistant(cache_bytes=0, threads=1) as single,
        Lanes(order.asking, count_lanes()) as lanes,
    ):
        ways: dict[str, Callable[[], object]] = {
            "loop over ask": lambda: [usual.ask(file, QUESTION, max_tokens=16) for file in files],
            "loop, one thread": lambda: [single.ask(file, QUESTION, max_tokens=16) for file in files],
            "lanes": lambda: list(lanes.answer(read_groups(source, order.questions))),
        }
        for way in ways.values():
            way()  # the first time takes longer
        ratios = []
        for _ in range(ROUNDS):
            rounds = {name: measure_round(way) for name, way in ways.items()}
            ratios.append(rounds["lanes"].rate / rounds["loop over ask"].rate)
            click.echo("; ".join(f"{name}: {one}" for name, one in rounds.items()))
    click.echo(f"lanes / loop over ask: {', '.join(f'{ratio:.2f}' for ratio in ratios)}; median {median(ratios):.2f}")


def command(source: Path, output: Path) -> list[str]:
    """The command line of a run."""
    arguments = ["batch", str(source), "-q", QUESTION, "-o", str(output), "--max-tokens", "16"]
    return [sys.executable, "-m", "uhd_edge.cli", *arguments]


def try_kills(folder: Path, scratch: Path, kills: int, seed: int) -> bool:
    """Kill a run at drawn moments; return whether its rows are those of an unbroken one."""
    start = time.perf_counter()
    subprocess.run(command(folder, scratch / "unbroken.jsonl"), check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    whole = (scratch / "unbroken.jsonl").read_bytes()
    click.echo(f"unbroken: {len(whole.splitlines())} rows in {seconds:.1f} s")
    dice, broken = np.random.default_rng(seed), scratch / "broken.jsonl"
    for moment in dice.uniform(0, 1.5 * seconds / kills, kills):
        process = subprocess.Popen(command(folder, broken), stderr=subprocess.DEVNULL)
        time.sleep(moment)
        process.kill()
        process.wait()
        rows = broken.read_bytes().count(b"\n") if broken.exists() else 0
        click.echo(f"killed after {moment:.2f} s: {rows} rows")
    subprocess.run(command(folder, broken), check=True, stderr=subprocess.DEVNULL)
    same = broken.read_bytes() == whole
    click.echo(
        f"{len(broken.read_bytes().splitlines())} rows, {'equal to' if same else 'NOT'} those of the unbroken run"
    )
    return same


def watch_memory(files: list[Path], scratch: Path, many: int) -> None:
    """Print the memory of a long run on its way."""
    listed = list_of([files[number % len(files)] for number in range(many)], scratch / "many.txt")
    output = scratch / "many.jsonl"
    process = subprocess.Popen(command(listed, output), stderr=subprocess.DEVNULL)
    told = 0
    while process.poll() is None:
        time.sleep(0.5)
        rows = output.read_bytes().count(b"\n") if output.exists() else 0
        if rows >= told + many // 10:
            status = Path(f"/proc/{process.pid}/status").read_text()
            told = rows
            click.echo(f"after {rows} rows: {int(status.partition('VmRSS:')[2].split()[0]) / 1e3:.0f} MB")


@click.command()
@click.option("--pictures", default=2000, show_default=True, help="How many to draw.")
@click.option("--kills", default=10, show_default=True, help="How often to kill a run; 0 is no such run.")
@click.option("--many", default=10_000, show_default=True, help="Rows of the run whose memory is watched; 0 is none.")
@click.option("--seed", default=0, show_default=True, help="Seed of the moments.")
def main(pictures: int, kills: int, many: int, seed: int) -> None:
    """Measure `uhd batch`."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        files = draw(scratch / "pictures", pictures)
        measure_speed(files, scratch)
        same = not kills or try_kills(scratch / "pictures", scratch, kills, seed)
        if many:
            watch_memory(files, scratch, many)
    sys.exit(not same)


if __name__ == "__main__":
    main()
