"""Train the rows and ask them: `python -m uhd_edge.tiny.experiments.run FOLDER`.

FOLDER holds the states. Every row that has come to its end leaves a file in --runs, the committed ones
by default, and is not trained again. Rows are taken seed by seed. Started again after any end, the
command goes on where it stopped; started twice, the two share the rows. On the same processor the
same bytes come out, however often it was stopped.
"""

from __future__ import annotations

import argparse
import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from uhd_edge.tiny.experiments.asking import Amount, ask_row
from uhd_edge.tiny.experiments.rows import ROWS, Row, find_row
from uhd_edge.tiny.experiments.training import Order, train_row
from uhd_edge.tiny.world.conversations import Encodes
from uhd_edge.tiny.world.tokenizer import RememberingEncoder

RUNS = Path(__file__).parent / "runs"
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Desk:
    """Where a row's state and its finished file go, and how much it is asked."""

    folder: Path
    runs: Path
    amount: Amount = field(default_factory=Amount)


def run_row(row: Row, seed: int, desk: Desk, tokenizer: Encodes, order: Order | None = None) -> Path:
    """Train a row to its end, ask it, and write what was seen: a line every so many steps, and the answers."""
    run = train_row(row, seed, desk.folder / f"{row.name}-{seed}.pt", tokenizer, order)
    answers = ask_row(run.state.model, row, tokenizer, desk.amount)
    result = {"row": row.name, "seed": seed, "steps": run.state.step, **answers}
    target = desk.runs / f"{row.name}-{seed}.jsonl"
    part = target.with_suffix(".part")
    part.write_text("".join(f"{json.dumps(line)}\n" for line in (*run.lines, result)), encoding="utf-8")
    part.replace(target)
    return target


@contextmanager
def claimed(file: Path) -> Iterator[bool]:
    """Whether no other process works on the row of this file. The claim ends with the process, however it ends."""
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder for the states of the rows")
    parser.add_argument("--rows", nargs="*", choices=[row.name for row in ROWS], default=[row.name for row in ROWS])
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder for the files of finished rows")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tokenizer, desk = RememberingEncoder(), Desk(arguments.folder, arguments.runs)
    for folder in (desk.folder, desk.runs):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in arguments.seeds:
        for row in map(find_row, arguments.rows):
            with claimed(desk.folder / f"{row.name}-{seed}.lock") as ours:
                if ours and not (desk.runs / f"{row.name}-{seed}.jsonl").exists():
                    print(run_row(row, seed, desk, tokenizer), flush=True)


if __name__ == "__main__":
    main()
