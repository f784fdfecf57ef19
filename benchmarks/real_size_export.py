"""Export graphs of MiniCPM-V 4.6's size from random weights: seconds, memory, and whether they run.

    python benchmarks/real_size_export.py [--precisions fp32,fp16] [--folder FOLDER]

Needs about 8 GB of disk for both precisions and no network; nothing is left behind. Each
step runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

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


def make_checkpoint(folder: Path) -> None:
    """Write random BF16 weights, which is what the real checkpoint holds."""
    import torch
    from safetensors.torch import save_file

    from uhd_edge.export.config import read_model_config
    from uhd_edge.export.tensors import expected_tensors

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
        return (torch.randn(shape) * shape[1:].numel() ** -0.5).bfloat16()
    return (torch.randn(shape) * 0.02 + float("norm" in name and name.endswith("weight"))).bfloat16()


def export(checkpoint: Path, target: Path, precisions: list[str]) -> None:
    """Open the checkpoint and write the graphs of both modes."""
    from uhd_edge.export.checkpoint import open_checkpoint
    from uhd_edge.export.graphs import write_graphs

    with open_checkpoint(checkpoint) as opened:
        write_graphs(opened, target, modes=["16x", "4x"], precisions=precisions, progress=lambda step: print(" ", step))


def check(graphs: Path) -> None:
    """Run onnx.checker on every graph, by path, and look at the weight files they name."""
    import onnx

    for file in sorted(graphs.glob("*.onnx")):
        onnx.checker.check_model(str(file), full_check=True)
        model = onnx.load(file, load_external_data=False)
        named = {
            entry.value
            for tensor in model.graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
        print(
            f"  {file.name}: {file.stat().st_size} bytes, {len(model.graph.node)} nodes, weights in {', '.join(named)}"
        )
    for file in sorted(graphs.glob("*.weights")):
        print(f"  {file.name}: {file.stat().st_size / 1e9:.3f} GB")


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
    finite = np.isfinite(embeddings).all()
    print(f"  {mode} {precision}: {embeddings.shape}, finite {finite}, {seconds:.1f} s on one thread")
    reference = graphs / f"{mode}.npy"
    if precision == "fp32":
        np.save(reference, embeddings)
    elif reference.exists():
        ours, theirs = embeddings.ravel().astype(np.float64), np.load(reference).ravel().astype(np.float64)
        print(f"  cosine to fp32: {ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs):.8f}")


def measured(title: str, step: Callable[..., None], *arguments: object) -> None:
    """Run `step` in a fresh process and print what it took."""
    print(title)
    process = multiprocessing.get_context("spawn").Process(target=_measured, args=(step, arguments))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{title} failed")


def _measured(step: Callable[..., None], arguments: tuple[object, ...]) -> None:
    started = time.perf_counter()
    step(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"  {time.perf_counter() - started:.1f} s, peak memory {peak:.2f} GB")


def main() -> None:
    """Make, export, check and encode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precisions", default="fp32", help="fp32, fp16 or both with a comma")
    parser.add_argument("--folder", help="where to put the temporary files")
    options = parser.parse_args()
    precisions = options.precisions.split(",")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        checkpoint, target = Path(name) / "checkpoint", Path(name) / "bundle"
        measured("random checkpoint", make_checkpoint, checkpoint)
        measured("export", export, checkpoint, target, precisions)
        measured("onnx.checker", check, target / "graphs")
        for precision in precisions:
            for mode in ("16x", "4x"):
                measured(f"encode {mode} {precision}", encode, target / "graphs", mode, precision)


if __name__ == "__main__":
    main()
