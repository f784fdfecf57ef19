"""Opens every file of a folder as a picture, such as Pillow's own test pictures, broken ones included.

    git clone --depth 1 https://github.com/python-pillow/Pillow
    python benchmarks/suites/pictures.py Pillow/Tests/images [--list]

A file is opened, or refused with an `ImageError` of one line; nothing else is written, not even by
the libraries below Pillow. Anything else is a crash, also the end of the process, or a line too many.
The exit code is 1 after either.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import click
from tqdm import tqdm

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.loading import load_image

SLOW = 2.0  # seconds


def open_picture(file: Path) -> str:
    """Open one file; what became of it."""
    before = time.perf_counter()
    with tempfile.TemporaryFile() as written:
        own = os.dup(2)
        os.dup2(written.fileno(), 2)  # this process does nothing else
        try:
            kind = _open(file)
        finally:
            os.dup2(own, 2)
            os.close(own)
        if lines := os.fstat(written.fileno()).st_size and _count_lines(written.fileno()):
            kind = f"{kind}, and {lines} lines on standard error"
    return f"{kind}, in over {SLOW:g} s" if time.perf_counter() - before > SLOW else kind


def _open(file: Path) -> str:
    try:
        load_image(file)
    except ImageError as error:
        return "refused" if "\n" not in str(error) else "crash: more than one line"
    except BaseException as error:  # what this script looks for
        return f"crash: {type(error).__name__}: {error}"
    return "opened"


def _count_lines(descriptor: int) -> int:
    return os.pread(descriptor, 2**24, 0).count(b"\n")


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--list", "listed", is_flag=True, help="also print the files of each kind")
def main(folder: Path, *, listed: bool) -> None:
    """Open all files and print what became of them."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    outcomes = []
    processes = ProcessPoolExecutor(max_workers=1)
    for file in tqdm(files, disable=None):
        try:
            outcomes.append(processes.submit(open_picture, file).result())
        except BrokenProcessPool:
            outcomes.append("crash: the process ended")
            processes = ProcessPoolExecutor(max_workers=1)
    processes.shutdown()
    for kind, count in Counter(outcomes).most_common():
        click.echo(f"{count:5}  {kind}")
        for file, outcome in zip(files, outcomes, strict=True):
            if listed and outcome == kind and kind not in {"opened", "refused"}:
                click.echo(f"         {file.relative_to(folder)}")
    sys.exit(any("crash" in outcome or "standard error" in outcome for outcome in outcomes))


if __name__ == "__main__":
    main()
