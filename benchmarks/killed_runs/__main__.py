"""What a killed run leaves: long commands are killed at drawn moments, and run again.

    python benchmarks/killed_runs [--commands export,calibrate,build,kit] [--moments 20] [--seed 0]

Half of the moments are drawn from the time that a command takes, half from its changes of the
disk: the files it opens for writing, renames and removes, one of which does not happen. The whole
process group is killed (SIGKILL). Then the bundle has to open and answer, and the command, run
again, has to end as one that nobody killed: with the same files and nothing beside them. Exit code
1 when one of them does not. `build` needs TensorRT-RTX.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
from killing import COMMANDS, Command, kill_after, kill_at, run_whole
from mending import check


def try_moments(command: Command, moments: int, seed: int) -> int:
    """Kill a command at drawn moments, print what is wrong after each, and return how many were wrong."""
    draw, wrong = np.random.default_rng([seed, *command.name.encode()]), 0
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "whole").mkdir()
        whole = run_whole(command, place / "whole")
        click.echo(f"{command.name}: {whole.seconds:.1f} s, {whole.changes} changes of the disk")
        for number in range(moments):
            folder = place / str(number)
            folder.mkdir()
            command.prepare(folder)
            if number % 2:
                seconds = draw.uniform(0, whole.seconds)
                moment = f"after {seconds:.2f} s"
                kill_after(seconds, command, folder)
            else:
                change = int(draw.integers(whole.changes))
                moment = f"at change {change}"
                kill_at(change, command, folder)
            problems = list(check(command, folder, whole))
            wrong += bool(problems)
            click.echo(f"  {moment}: {'; '.join(problems) or 'ends as an unbroken run'}")
            shutil.rmtree(folder)
    return wrong


@click.command()
@click.option("--commands", default=",".join(COMMANDS), show_default=True, help="Which, separated by commas.")
@click.option("--moments", default=20, show_default=True, help="How many moments to draw for each.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draw.")
def main(commands: str, moments: int, seed: int) -> None:
    """Kill long commands at drawn moments, and run them again."""
    wrong = sum(try_moments(COMMANDS[name], moments, seed) for name in commands.split(","))
    click.echo(f"{wrong} of {moments * len(commands.split(','))} killed runs were not mended")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
