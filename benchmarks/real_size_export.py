"""Exports graphs of MiniCPM-V 4.6's size from random weights: seconds, memory, and whether the graphs run.

    python benchmarks/real_size_export.py [--precisions fp32,fp16] [--folder FOLDER]

Needs about 8 GB of disk for both precisions, but no network. Temporary files are removed. Each
step runs in a process of its own, so that its peak memory can be measured. The exit code is 1 if
the export takes more than 10 GB or 5 minutes, if onnx.checker refuses a graph, if the two encoders
of a precision do not share one weight file, or if an output is not finite.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.bench.memory import peak_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    import torch

    from uhd_edge.runtime.modes import Precision

VISION = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 980,
    "patch_size": 14,
}
# A text model as wide as the real one, but with few layers: only its width matters to the graphs.
TEXT = {
    "model_type": "qwen3",
    "hidden_size": 1024,
    "intermediate_size": 256,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "vocab_size": 512,
    "eos_token_id": 0,
}
CONFIG = {"model_type": "minicpmv4_6", "insert_layer_id": 6, "vision_config": VISION, "text_config": TEXT}
TOKENS = ("image", "image_start", "image_end", "slice_start", "slice_end", "image_id_start", "image_id_end")
VIEW_SIDE = 32  # patches; a view has 448x448 pixels
MOST_GIGABYTES = 10.0
MOST_SECONDS = 300.0


def make_checkpoint(folder: Path) -> None:
    """Write a checkpoint with random weights in BF16, the type of the real checkpoint."""
    import torch
    from safetensors.torch import save_file

    from uhd_edge.export.checkpoint.config import read_model_config
    from uhd_edge.export.checkpoint.tensors import expected_tensors

    folder.mkdir()
    files = {
        "config.json": CONFIG,
        "preprocessor_config.json": {},
        "tokenizer_config.json": {f"{name}_token": f"<{name}>" for name in TOKENS},
        "tokenizer.json": {},
        "chat_template.json": {"chat_template": "{{ messages }}"},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    torch.manual_seed(0)
    expected = expected_tensors(read_model_config(folder))
    tensors = {name: random_weight(name, torch.Size(shape)) for name, shape in expected.items()}
    save_file(tensors, folder / "model.safetensors")


def random_weight(name: str, shape: torch.Size) -> torch.Tensor:
    """A random tensor: a product is about as large as its input, norms are near one, biases near zero."""
    import torch

    if len(shape) > 1:
        return (torch.randn(shape) / math.sqrt(math.prod(shape[1:]))).bfloat16()
    return (torch.randn(shape) * 0.02 + float("norm" in name and name.endswith("weight"))).bfloat16()


def export(checkpoint: Path, target: Path, precisions: list[Precision]) -> None:
    """Open the checkpoint, and write the graphs of both modes."""
    from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
    from uhd_edge.export.graphs.graphs import write_graphs

    with open_checkpoint(checkpoint) as opened:
        write_graphs(opened, target, modes=["16x", "4x"], precisions=precisions, progress=lambda step: print(" ", step))


def check(graphs: Path, precisions: list[Precision]) -> None:
    """Run onnx.checker on every graph file, and check which weight files the graphs use."""
    import onnx

    weights = {file.name: weight_files(file) for file in sorted(graphs.glob("*.onnx"))}
    for name, named in weights.items():
        onnx.checker.check_model(str(graphs / name), full_check=True)
        print(f"  {name}: {(graphs / name).stat().st_size} bytes, weights in {', '.join(sorted(named))}")
    for file in sorted(graphs.glob("*.weights")):
        print(f"  {file.name}: {file.stat().st_size / 1e9:.3f} GB")
    for precision in precisions:
        named = weights[f"encoder-{precision}.onnx"]
        if named != {f"encoder-{precision}.weights"}:
            sys.exit(f"the {precision} encoder does not keep its weights in one file of its own: {sorted(named)}")


def weight_files(graph: Path) -> set[str]:
    """The names of the files that hold a graph's weights."""
    import onnx

    tensors = onnx.load(graph, load_external_data=False).graph.initializer
    return {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}


def encode(graphs: Path, mode: str, precision: str) -> None:
    """Encode one view of 448x448 with ONNX Runtime, and compare with FP32 if that has run before."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    encoder = onnxruntime.InferenceSession(graphs / f"encoder-{precision}.onnx", options)
    connector = onnxruntime.InferenceSession(graphs / f"connector-{precision}.onnx", options)
    count = VIEW_SIDE**2
    patches = np.random.default_rng(0).uniform(-1, 1, (1, count, 588)).astype(np.float32)
    started = time.perf_counter()
    uncompressed = np.zeros((1, 0 if mode == "16x" else count // 4), np.int64)
    inputs = {"patches": patches, "position_ids": np.arange(count)[None], "uncompressed": uncompressed}
    (features,) = encoder.run(None, inputs)
    (embeddings,) = connector.run(None, {"features": features})
    seconds = time.perf_counter() - started
    print(f"  {mode} {precision}: {embeddings.shape}, {seconds:.1f} s on one thread")
    if not np.isfinite(embeddings).all():
        sys.exit(f"{mode} {precision}: {np.isfinite(embeddings).mean():.1%} of the embeddings are finite")
    reference = graphs / f"{mode}.npy"
    if precision == "fp32":
        np.save(reference, embeddings)
    elif reference.exists():
        ours, theirs = embeddings.ravel().astype(np.float64), np.load(reference).ravel().astype(np.float64)
        print(f"  cosine to fp32: {ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs):.8f}")


@dataclass(frozen=True)
class Cost:
    """What a step took: `seconds` by the clock, and peak memory in `gigabytes` (1e9 bytes)."""

    seconds: float
    gigabytes: float


def measured(title: str, step: Callable[..., None], *arguments: object) -> Cost:
    """Run `step` in a new process, and print what it took. If it fails, the program ends with exit code 1."""
    print(title, flush=True)
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(sender, step, arguments))
    process.start()
    sender.close()
    process.join()
    if process.exitcode:
        sys.exit(f"{title} failed")
    cost = Cost(*receiver.recv())
    print(f"  {cost.seconds:.1f} s, peak memory {cost.gigabytes:.2f} GB")
    return cost


def _measured(sender: Connection, step: Callable[..., None], arguments: tuple[object, ...]) -> None:
    started = time.perf_counter()
    step(*arguments)
    sender.send((time.perf_counter() - started, peak_memory() / 1e9))


def check_cost(cost: Cost) -> None:
    """End the program with exit code 1 if the export took too much memory or time."""
    if cost.gigabytes > MOST_GIGABYTES:
        sys.exit(f"the export took {cost.gigabytes:.2f} GB of memory, more than {MOST_GIGABYTES:.0f}")
    if cost.seconds > MOST_SECONDS:
        sys.exit(f"the export took {cost.seconds:.0f} s, more than {MOST_SECONDS:.0f}")


def parse_precisions(text: str) -> list[Precision]:
    """Read `fp32`, `fp16`, or both, separated by a comma."""
    valid: dict[str, Precision] = {"fp32": "fp32", "fp16": "fp16"}
    unknown = set(text.split(",")) - set(valid)
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: only fp32 and fp16 can be exported")
    return [valid[name] for name in text.split(",")]


def main() -> None:
    """Make a checkpoint, export it, check the graphs, and encode a view."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precisions", type=parse_precisions, default="fp32", help="fp32, fp16, or both: fp32,fp16")
    parser.add_argument("--folder", help="folder for the temporary files")
    options = parser.parse_args()
    precisions: list[Precision] = options.precisions
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        checkpoint, target = Path(name) / "checkpoint", Path(name) / "bundle"
        measured("random checkpoint", make_checkpoint, checkpoint)
        check_cost(measured("export", export, checkpoint, target, precisions))
        measured("onnx.checker", check, target / "graphs", precisions)
        for precision in precisions:
            for mode in ("16x", "4x"):
                measured(f"encode {mode} {precision}", encode, target / "graphs", mode, precision)


if __name__ == "__main__":
    main()
