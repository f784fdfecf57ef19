"""Compares INT8 with FP32 at MiniCPM-V 4.6's size on this CPU: calibrates, then measures cosine and seconds.

    python benchmarks/real_size_int8.py [--runs 7] [--threads N] [--folder FOLDER]

The weights are random, the mode is 16x, and the picture is one view of 448x448. Needs about 8 GB
of disk and 8 GB of memory, but no network. Temporary files are removed. The runs of the two
precisions are interleaved, so background load and throttling affect both equally.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from real_size_export import TEXT, VISION, make_checkpoint, measured

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode, Precision

SIDE = 448
PICTURES = 4


def export(
    checkpoint: Path, target: Path, precisions: tuple[Precision, ...] = ("fp32",), modes: tuple[Mode, ...] = ("16x",)
) -> None:
    """Write the graphs of `modes`, and a manifest that names a language model, which is never opened."""
    from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
    from uhd_edge.export.graphs.graphs import write_graphs
    from uhd_edge.runtime.bundles.manifest import FORMAT_VERSION, LanguageModelFile, Manifest, Vision, record_file

    with open_checkpoint(checkpoint) as opened:
        graphs = write_graphs(opened, target, modes=modes, precisions=precisions, progress=lambda _: None)
        preprocessing, prompt = opened.processor.preprocessing, opened.processor.prompt
    (target / "llm.gguf").touch()
    files = {path.relative_to(target).as_posix(): path for path in target.rglob("*") if path.is_file()}
    manifest = Manifest(
        format=FORMAT_VERSION,
        architecture="minicpmv4_6",
        name="random weights of the real size",
        default_mode=modes[0],
        vision=Vision(
            hidden_size=VISION["hidden_size"],
            intermediate_size=VISION["intermediate_size"],
            layers=VISION["num_hidden_layers"],
            insert_layer=6,
            table_side=70,
            window=2,
            merge=2,
            merge_rounds=1,
        ),
        preprocessing=preprocessing,
        prompt=prompt,
        graphs=graphs,
        llm=LanguageModelFile(
            file="llm.gguf", architecture="none", type="none", hidden_size=TEXT["hidden_size"], vocabulary_size=512
        ),
        files={name: record_file(path) for name, path in files.items()},
    )
    (target / "bundle.json").write_text(manifest.model_dump_json())


def draw(folder: Path, count: int = PICTURES, seed: int = 0) -> None:
    """Draw pictures of coloured clouds."""
    folder.mkdir()
    random = np.random.default_rng(seed)
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{index}.png")


def calibrate(target: Path, pictures: Path, threads: int | None) -> None:
    """Add the INT8 graphs, and print the result of each step of the calibration."""
    from uhd_edge.calibration.calibrate import calibrate_bundle
    from uhd_edge.calibration.report import table
    from uhd_edge.runtime.bundles.bundle import Bundle

    begun: set[str] = set()

    def show(stage: str, _share: float) -> None:
        if stage not in begun:
            print(" ", stage, flush=True)
        begun.add(stage)

    print(table(calibrate_bundle(Bundle.open(target), [pictures], threads=threads, progress=show).report))


def compare(target: Path, picture: Path, runs: int, threads: int | None) -> None:
    """Encode the same picture in both precisions, in turns and without a cache."""
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.vision.encoder import VisionEncoder

    bundle: Bundle = Bundle.open(target)
    seconds: dict[str, list[float]] = {"fp32": [], "int8": []}
    with (
        VisionEncoder(bundle, engine="onnxruntime", precision="fp32", threads=threads, cache_bytes=0) as exact,
        VisionEncoder(bundle, engine="onnxruntime", precision="int8", threads=threads, cache_bytes=0) as rounded,
    ):
        encoders = {"fp32": exact, "int8": rounded}
        for encoder in encoders.values():
            encoder.encode(picture)
        for _ in range(runs):
            for precision, encoder in encoders.items():
                started = time.perf_counter()
                encoder.encode(picture)
                seconds[precision].append(time.perf_counter() - started)
    for precision, taken in seconds.items():
        print(f"  {precision}: best {min(taken):.3f} s, median {statistics.median(taken):.3f} s")
    ratios = [full / short for full, short in zip(seconds["fp32"], seconds["int8"], strict=True)]
    print(f"  int8 is {statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})")


def main() -> None:
    """Make a checkpoint, export it, calibrate it, and time both precisions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, help="number of threads (default: one for each core)")
    parser.add_argument("--folder", help="folder for the temporary files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        checkpoint, target, pictures = (Path(name) / part for part in ("checkpoint", "bundle", "pictures"))
        draw(pictures)
        measured("random checkpoint", make_checkpoint, checkpoint)
        measured("export", export, checkpoint, target)
        measured("calibrate", calibrate, target, pictures, options.threads)
        measured("encode", compare, target, pictures / "0.png", options.runs, options.threads)


if __name__ == "__main__":
    main()
