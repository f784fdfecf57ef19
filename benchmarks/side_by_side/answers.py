"""Compares whole answers with llama.cpp's mtmd: same checkpoint, same language model file, same picture.

    python benchmarks/side_by_side/answers.py FOLDER --checkpoint MINICPM_V_4_6 [--mtmd FOLDER]
        [--sides 448,1344] [--runs 3] [--tokens 32] [--threads N] [--only NAME ...]

The checkpoint is the real one, or the stand-in that `benchmarks/checkpoint/stand_in.py` makes. FOLDER
keeps the bundle, with a language model in Q4_K_M, and mtmd's file of the vision tower. INT8 graphs
are calibrated on four drawn pictures.

The competitors take turns, each in a process of its own. The first token is timed from RGB pixels
and the text of the question on, and the tokens after it by their number a second. Greedy, without
any cache, and each waits for its threads as it does by itself. All warm up on one view, so that two
runs about a large picture take minutes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lanes import Competitor, Lane, open_lanes, take_turns
from runners import MTMD
from weights import draw, make_mmproj, make_pictures

from uhd_edge.engines.threads import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.runtime.modes import Precision

    Ask = Callable[[NDArray[np.uint8]], "Timed"]

QUESTION = "What is in this picture?"
CONTEXT = 4096


@dataclass(frozen=True)
class Timed:
    """One answer: seconds to the first token, tokens a second after it, and the tokens of the prompt."""

    first: float
    rate: float
    prompt: int


@dataclass(frozen=True)
class Setting:
    """What is opened, and how. `site` is a folder that has llama-cpp-python, built with mtmd."""

    bundle: Path
    mmproj: Path
    site: Path | None
    threads: int
    tokens: int


def ours(precision: Precision) -> Callable[[Setting], Ask]:
    """Our own runtime, through the class that users use."""

    def open_ours(setting: Setting) -> Ask:
        from uhd_edge.runtime import Assistant

        assistant = Assistant(
            setting.bundle, precision=precision, context=CONTEXT, threads=setting.threads, cache_bytes=0
        )

        def ask(pixels: NDArray[np.uint8]) -> Timed:
            answer = assistant.ask(pixels, QUESTION, mode="16x", max_tokens=setting.tokens)
            first = answer.timings_ms["first_token"] / 1000
            later = answer.timings_ms["total"] / 1000 - first
            return Timed(first, (answer.usage.completion_tokens - 1) / later, answer.usage.prompt_tokens)

        return ask

    return open_ours


def mtmd(setting: Setting) -> Ask:
    """llama.cpp's own way through its vision tower, prefill and decode."""
    if setting.site is not None:
        sys.path.insert(0, str(setting.site))
    from mtmd import Chat, Mtmd

    chat = Chat(Mtmd(setting.mmproj, setting.bundle / "llm.gguf", setting.threads), CONTEXT, setting.threads)

    def ask(pixels: NDArray[np.uint8]) -> Timed:
        started = time.perf_counter()
        prompt = chat.read(pixels, QUESTION)
        first = time.perf_counter() - started
        started = time.perf_counter()
        chat.generate(setting.tokens - 1)
        return Timed(first, (setting.tokens - 1) / (time.perf_counter() - started), prompt)

    return ask


COMPETITORS: dict[str, Competitor[Setting, Timed]] = {
    "ours fp32": Competitor(ours("fp32"), ""),
    "ours int8": Competitor(ours("int8"), ""),
    "llama.cpp mtmd f16": Competitor(mtmd, MTMD),
}


def competitor(name: str) -> Competitor[Setting, Timed]:
    """Return the competitor of this name."""
    return COMPETITORS[name]


def report(picture: Path, lanes: dict[str, Lane[Timed]], taken: dict[str, list[tuple[float, Timed]]]) -> None:
    """Print a table: the medians, with the lowest and the highest."""
    print(f"\n{picture.stem:20} {'prompt':>7} {'first token, s':>22} {'tokens a second':>22} {'opened, s':>10} peak GB")
    for name, turns in taken.items():
        timed = [one for _, one in turns]
        first, rate = _spread([one.first for one in timed]), _spread([one.rate for one in timed])
        lane = lanes[name]
        print(f"{name:20} {timed[0].prompt:7} {first:>22} {rate:>22} {lane.opening:10.1f} {lane.gigabytes:7.2f}")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} - {max(values):.2f})"


def prepare(folder: Path, checkpoint: Path) -> tuple[Path, Path]:
    """Make the bundle and mtmd's file where they are not there yet; returns both."""
    from uhd_edge.calibration.calibrate import calibrate_bundle
    from uhd_edge.cli.progress import shown_time_left
    from uhd_edge.export.export import export_bundle

    folder.mkdir(parents=True, exist_ok=True)
    bundle = folder / "bundle"
    if not bundle.exists():
        started = time.perf_counter()
        exported = export_bundle(checkpoint, bundle, precisions=["fp32"], llm_type="q4_k_m")
        print(f"exported in {time.perf_counter() - started:.0f} s", flush=True)
        with shown_time_left() as progress:
            calibrate_bundle(exported, [make_pictures(folder)], progress=progress)
    mmproj = folder / "mmproj-f16.gguf"
    if not mmproj.exists():
        make_mmproj(checkpoint, mmproj, "f16")
    return bundle, mmproj


def main() -> None:
    """Make the files, open the competitors, and let them take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a folder with MiniCPM-V 4.6")
    parser.add_argument("--mtmd", type=Path, help="a folder with llama-cpp-python built with mtmd")
    parser.add_argument("--sides", default="448,1344", help="sides of the square pictures, separated by commas")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=32, help="tokens of an answer")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--only", nargs="+", choices=COMPETITORS, default=list(COMPETITORS), metavar="NAME")
    options = parser.parse_args()
    bundle, mmproj = prepare(options.folder, options.checkpoint)
    pictures = [options.folder / f"{side}x{side}.png" for side in options.sides.split(",")]
    for picture, side in zip(pictures, options.sides.split(","), strict=True):
        draw(picture, int(side), seed=int(side))
    warm_up = options.folder / "warm-up.png"
    draw(warm_up, 448, seed=0)
    setting = Setting(bundle, mmproj, options.mtmd, options.threads, options.tokens)
    with open_lanes(options.only, competitor, setting) as lanes:
        taken = [take_turns(lanes, warm_up, picture, options.runs) for picture in pictures]
    for picture, turns in zip(pictures, taken, strict=True):
        report(picture, lanes, turns)


if __name__ == "__main__":
    main()
