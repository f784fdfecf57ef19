"""Export graphs of MiniCPM-V 4.6's size from random weights: seconds, memory, and whether they run.

    python benchmarks/real_size_export.py [--precisions fp32,fp16] [--folder FOLDER]

Needs about 8 GB of disk for both precisions and no network; nothing is left behind. Each
step runs in a process of its own, so that its peak memory is its own. Ends with 1 when the
export takes more than 10 GB or 5 minutes, when onnx.checker refuses a graph, when the two
encoders of a precision do not share one weight file, or when an output is not finite.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
# As wide as the real one and hardly deep: only the width matters to the graphs.
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
VIEW_SIDE = 32  # patches, a view of 448 x 448
MOST_GIGABYTES = 10.0
MOST_SECONDS = 300.0


def make_checkpoint(folder: Path) -> None:
    """Write random BF16 weights, which is what the real checkpoint holds."""
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
    """Products keep the size of what they are given, norms start at one, biases near zero."""
    import torch

    if len(shape) > 1:
        return (torch.randn(shape) / math.sqrt(math.prod(shape[1:]))).bfloat16()
    return (torch.randn(shape) * 0.02 + float("norm" in name and name.endswith("weight"))).bfloat16()


def export(checkpoint: Path, target: Path, precisions: list[Precision]) -> None:
    """Open the checkpoint and write the graphs of both modes."""
    from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
    from uhd_edge.export.graphs.graphs import write_graphs

    with open_checkpoint(checkpoint) as opened:
        write_graphs(opened, target, modes=["16x", "4x"], precisions=precisions, progress=lambda step: print(" ", step))


def check(graphs: Path, precisions: list[Precision]) -> None:
    """Run onnx.checker on every graph, by path, and look at the weight files they name."""
    import onnx

    weights = {file.name: weight_files(file) for file in sorted(graphs.glob("*.onnx"))}
    for name, named in weights.items():
        onnx.checker.check_model(str(graphs / name), full_check=True)
        print(f"  {name}: {(graphs / name).stat().st_size} bytes, weights in {', '.join(sorted(named))}")
    for file in sorted(graphs.glob("*.weights")):
        print(f"  {file.name}: {file.stat().st_size / 1e9:.3f} GB")
    for precision in precisions:
        sixteen, four = (weights[f"encoder-{mode}-{precision}.onnx"] for mode in ("16x", "4x"))
        if sixteen != four or len(sixteen) != 1:
            sys.exit(f"the {precision} encoders do not share one weight file: {sorted(sixteen)} and {sorted(four)}")


def weight_files(graph: Path) -> set[str]:
    """Names of the files that a graph keeps its weights in."""
    import onnx

    tensors = onnx.load(graph, load_external_data=False).graph.initializer
    return {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}


def encode(graphs: Path, mode: str, precision: str) -> None:
    """Encode one view of 448 x 448 with ONNX Runtime, and compare with FP32 if that was encoded before."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    encoder = onnxruntime.InferenceSession(graphs / f"encoder-{mode}-{precision}.onnx", options)
    connector = onnxruntime.InferenceSession(graphs / f"connector-{precision}.onnx", options)
    count = VIEW_SIDE**2
    patches = np.random.default_rng(0).uniform(-1, 1, (1, count, 588)).astype(np.float32)
    started = time.perf_counter()
    (features,) = encoder.run(None, {"patches": patches, "position_ids": np.arange(count)[None]})
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
    """What a step took: `seconds` by the clock, `gigabytes` (1e9 bytes) of memory at most."""

    seconds: float
    gigabytes: float


def measured(title: str, step: Callable[..., None], *arguments: object) -> Cost:
    """Run `step` in a fresh process and print what it took; ends the program with 1 when it fails."""
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
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sender.send((time.perf_counter() - started, kilobytes * 1024 / 1e9))


def check_cost(cost: Cost) -> None:
    """End with 1 past the limits that an export keeps at this size."""
    if cost.gigabytes > MOST_GIGABYTES:
        sys.exit(f"the export took {cost.gigabytes:.2f} GB of memory, more than {MOST_GIGABYTES:.0f}")
    if cost.seconds > MOST_SECONDS:
        sys.exit(f"the export took {cost.seconds:.0f} s, more than {MOST_SECONDS:.0f}")


def parse_precisions(text: str) -> list[Precision]:
    """Read `fp32`, `fp16` or both with a comma."""
    valid: dict[str, Precision] = {"fp32": "fp32", "fp16": "fp16"}
    unknown = set(text.split(",")) - set(valid)
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: only fp32 and fp16 are exported")
    return [valid[name] for name in text.split(",")]


def main() -> None:
    """Make, export, check and encode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precisions", type=parse_precisions, default="fp32", help="fp32, fp16 or both with a comma")
    parser.add_argument("--folder", help="where to put the temporary files")
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
