"""Counts the INT8 sums that FP16 cannot hold, in engines of a scale for each channel, and in those that are built.

    python benchmarks/int8_sums.py [BUNDLE] [--pictures FOLDER] [--folder FOLDER]

The engines are simulated in numpy on one view of each picture; no GPU is needed. BUNDLE must have been calibrated and
have graphs for TensorRT. Without one, random weights of MiniCPM-V 4.6's size are exported and calibrated on three views
in each mode, and another one is simulated. That needs about 15 minutes, 12 GB of disk and 6 GB of memory, but no
network. Temporary files are removed. The two forms of a graph are equal in exact arithmetic.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from real_size_export import make_checkpoint, measured
from real_size_int8 import calibrate, draw, export

if TYPE_CHECKING:
    from uhd_edge.calibration.simulation.simulate import Simulation

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = "bundle.json"
HEAD = ("mode", "scales", "views", "sums", "overflow", "largest", "lowest cosine")


def make_bundle(folder: Path) -> Path:
    """Export and calibrate random weights in a new folder. Each step has a process of its own, and is measured."""
    checkpoint, target, pictures = (folder / part for part in ("checkpoint", "bundle", "pictures"))
    draw(pictures)
    measured("random checkpoint", make_checkpoint, checkpoint)
    measured("export", export, checkpoint, target, ("fp32", "fp16"), ("16x", "4x"))
    shutil.rmtree(checkpoint)
    measured("calibrate", calibrate, target, pictures, None)
    return target


def with_scales_of_channels(source: Path, target: Path) -> None:
    """Write a bundle like `source` whose weights have a scale for each channel, as an earlier version made them."""
    sys.path.insert(0, str(ROOT / "tests"))
    from support.vision.int8_sums import with_channel_scales

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import record_file

    bundle = Bundle.open(source)
    encoders = {bundle.graphs(mode, "int8-tensorrt")[0] for mode in bundle.manifest.graphs}
    written = [with_channel_scales(encoder, target.with_name(encoder.name)) for encoder in sorted(encoders)]
    shutil.copytree(source, target, copy_function=os.link)  # after it was read: onnx takes no weights that are linked
    files = dict(bundle.manifest.files)
    for encoder, file in zip(sorted(encoders), written, strict=True):
        name = encoder.relative_to(source).as_posix()
        file.replace(target / name)
        files[name] = record_file(target / name)
    (target / MANIFEST).unlink()  # the link alone
    (target / MANIFEST).write_text(bundle.manifest.model_copy(update={"files": files}).model_dump_json())


def simulate(bundle: Path, pictures: Path) -> list[Simulation]:
    """Simulate every mode on one view of each picture of a folder."""
    from uhd_edge.calibration.pictures import find_pictures
    from uhd_edge.calibration.simulation.simulate import simulate_bundle
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.images.loading import load_image

    opened = Bundle.open(bundle)
    images = {file.name: load_image(file) for file in find_pictures([pictures])}
    modes = list(opened.manifest.graphs)
    return simulate_bundle(opened, images, modes=modes, max_slices=1, progress=lambda line: print(" ", line))


def row(scales: str, one: Simulation) -> tuple[str, ...]:
    """Return the cells of a line of the table."""
    counts = (f"{one.sums:,}", f"{one.overflow:,}", f"{one.largest:,.0f}")
    cosine = one.agreement.lowest_cosine
    return one.mode, scales, str(one.views), *counts, f"{cosine:.5f}" if cosine > -1 else "NaN"


def main() -> None:
    """Simulate both forms of a bundle, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", nargs="?", type=Path, help="a calibrated bundle (default: one is made)")
    parser.add_argument("--pictures", type=Path, help="folder of pictures (default: one that is drawn)")
    parser.add_argument("--folder", help="folder for the temporary files, on the bundle's file system")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        bundle = options.bundle or make_bundle(folder)
        if (pictures := options.pictures) is None:
            pictures = folder / "other"
            draw(pictures, count=1, seed=1)
        former = folder / "former"
        with_scales_of_channels(bundle, former)
        rows = [HEAD]
        for scales, path in (("a channel", former), ("a weight", bundle)):
            rows += [row(scales, one) for one in simulate(path, pictures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for line in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


if __name__ == "__main__":
    main()
