"""A bundle of a few bytes, for tests of the folder that do not run its graphs."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "llm.gguf": b"a language model",
    "graphs/encoder-16x-fp32.onnx": b"an encoder",
    "graphs/encoder-4x-fp32.onnx": b"another encoder",
    "graphs/connector-fp32.onnx": b"a connector",
    "graphs/encoder-fp32.weights": b"weights" * 100,
}


def write_bundle(folder: Path) -> Path:
    """Write the files and their manifest into `folder`."""
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "bundle.json").write_text(json.dumps(manifest()))
    return folder


def manifest() -> dict[str, Any]:
    def graphs(mode: str) -> dict[str, Any]:
        return {"fp32": {"encoder": f"graphs/encoder-{mode}-fp32.onnx", "connector": "graphs/connector-fp32.onnx"}}

    tokens = ("image", "image_start", "image_end", "slice_start", "slice_end", "image_id_start", "image_id_end")
    return {
        "format": 1,
        "architecture": "minicpmv4_6",
        "name": "by hand",
        "default_mode": "16x",
        "vision": {
            "hidden_size": 8,
            "layers": 2,
            "insert_layer": 0,
            "table_side": 70,
            "window": 2,
            "merge": 2,
            "merge_rounds": 1,
        },
        "preprocessing": {
            "scale_resolution": 448,
            "max_slices": 9,
            "patch_size": 14,
            "slicing": True,
            "rescale_factor": 1 / 255,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "resample": 3,
        },
        "prompt": {
            "chat_template": "{{ messages }}",
            "tokens": {name: f"<{name}>" for name in tokens},
            "stop_ids": [1],
            "use_image_id": True,
        },
        "graphs": {"16x": graphs("16x"), "4x": graphs("4x")},
        "llm": {
            "file": "llm.gguf",
            "architecture": "qwen3",
            "type": "f16",
            "hidden_size": 8,
            "vocabulary_size": 100,
        },
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in FILES.items()
        },
    }
