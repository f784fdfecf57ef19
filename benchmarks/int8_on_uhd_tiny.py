"""Compares INT8 with FP32 on uhd-tiny: the embeddings of new scenes, and the answers to the measured sets.

    python benchmarks/int8_on_uhd_tiny.py [--bundle BUNDLE] [--questions 600] [--sets single,sliced]
        [--threads N] [--folder FOLDER]

It calibrates a copy of the bundle on drawn scenes; the bundle itself is not changed. With `--pictures shipped` it
uses the pictures that come with uhd-edge instead. FP32 runs on ONNX Runtime's CPU provider. INT8 does too, unless
`--engine openvino` is given. `--save FOLDER` keeps the calibrated copy, and `--calibrated FOLDER` compares it on
another machine. `--questions 0` compares views alone.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.calibration.calibrate import calibrate_bundle
from uhd_edge.calibration.report import table
from uhd_edge.evaluation.asking.settings import Setting
from uhd_edge.evaluation.report.table import table as eval_table
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.tiny.measuring.measure import evaluated
from uhd_edge.tiny.measuring.measured import MEASURED_SETS
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.scenes import SINGLE, SLICED, draw_scene

if TYPE_CHECKING:
    from PIL import Image

    from uhd_edge.engines.names import EngineName
    from uhd_edge.runtime.modes import Mode

CALIBRATED_WITH = 32
HELD_OUT = 40


def pictures(purpose: str, count: int) -> list[Image.Image]:
    """Draw scenes, alternately single and sliced ones. Each `purpose` has its own seeds."""
    worlds = (SINGLE, SLICED)
    return [draw_picture(draw_scene(f"int8/{purpose}/{index}", worlds[index % 2])) for index in range(count)]


def view_cosines(bundle: Bundle, mode: Mode, engine: EngineName, threads: int | None, scenes: int) -> list[float]:
    """Cosine between INT8 and FP32 embeddings, for every view of the held-out scenes."""
    cosines = []
    with (
        VisionEncoder(bundle, mode=mode, engine=engine, precision="int8", threads=threads) as tested,
        VisionEncoder(bundle, mode=mode, engine="onnxruntime", precision="fp32", threads=threads) as exact,
    ):
        for picture in pictures("held-out", scenes):
            one, other = tested.encode(picture), exact.encode(picture)
            ends = np.cumsum([view.tokens for view in one.views])[:-1]
            for a, b in zip(np.split(one.embeddings, ends), np.split(other.embeddings, ends), strict=True):
                cosines.append(float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)))
    return cosines


def ask(bundle: Bundle, name: str, folder: Path, options: argparse.Namespace) -> None:
    """Ask the questions of one set in both precisions, and print how often they are right and what differs."""
    for mode in options.modes.split(","):
        exact, rounded = Setting(mode, None, "fp32", "onnxruntime"), Setting(mode, None, "int8", options.engine)
        summary = evaluated(bundle, name, [exact, rounded], folder, count=options.questions, threads=options.threads)
        same = sum(not asked.differs for asked in summary.asked)
        print(f"{eval_table(summary)}\n{100 * same / len(summary.asked):.2f} % equal answers\n", flush=True)


def calibrate(folder: Path, options: argparse.Namespace) -> Bundle:
    """Calibrate a copy of the bundle in `folder`."""
    sources = []
    if options.pictures == "scenes":
        (folder / "pictures").mkdir()
        sources = [folder / "pictures"]
        for index, picture in enumerate(pictures("calibrate", CALIBRATED_WITH)):
            picture.save(folder / "pictures" / f"{index:02}.png")
    copied = Bundle.open(shutil.copytree(Bundle.open(options.bundle).path, folder / "bundle"))
    calibrated = calibrate_bundle(copied, sources, cosine=options.cosine, threads=options.threads)
    print(table(calibrated.report), flush=True)
    return calibrated.bundle


def compare(bundle: Bundle, options: argparse.Namespace) -> None:
    """Print the cosines of views in every mode, and how the questions are answered."""
    engine, threads = options.engine, options.threads
    for mode in bundle.manifest.graphs:
        cosines = view_cosines(bundle, mode, engine, threads, options.scenes)
        print(f"{mode}: {len(cosines)} views held out, lowest cosine {min(cosines):.6f}, mean {np.mean(cosines):.6f}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name in options.sets.split(",") if options.questions else ():
            ask(bundle, name, Path(folder), options)


def main() -> None:
    """Calibrate a copy of the bundle unless one is given, compare the embeddings, and ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", help="bundle folder (default: the built-in bundle)")
    parser.add_argument("--scenes", type=int, default=HELD_OUT, help="scenes to compare views of (default: 40)")
    parser.add_argument("--questions", type=int, default=600, help="number of questions in each set (default: 600)")
    sets = ",".join(MEASURED_SETS)
    parser.add_argument("--sets", default=sets, help=f"sets to ask (default: {sets})")
    parser.add_argument("--modes", default="16x,4x", help="modes to ask in (default: 16x,4x)")
    parser.add_argument("--cosine", type=float, default=0.0, help="lowest cosine to accept (default: calibrate's own)")
    parser.add_argument("--engine", choices=("onnxruntime", "openvino"), default="onnxruntime", help="engine for INT8")
    parser.add_argument("--pictures", choices=("scenes", "shipped"), default="scenes", help="pictures to calibrate on")
    parser.add_argument("--threads", type=int, help="number of threads (default: one for each usable core)")
    parser.add_argument("--folder", help="folder for the temporary files")
    parser.add_argument("--save", help="new folder for the calibrated copy")
    parser.add_argument("--calibrated", help="bundle folder with INT8 graphs, compared without calibrating")
    options = parser.parse_args()
    if unknown := set(options.sets.split(",")) - set(MEASURED_SETS):
        parser.error(f"--sets: {', '.join(sorted(unknown))}: the sets are {sets}")
    if options.calibrated:
        compare(Bundle.open(options.calibrated), options)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        bundle = calibrate(Path(name), options)
        if options.save:
            shutil.copytree(bundle.path, options.save)
        compare(bundle, options)


if __name__ == "__main__":
    main()
