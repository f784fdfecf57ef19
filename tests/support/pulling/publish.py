"""Publish a checkpoint's folder on a Hub on this machine, under the name of a known model.

    PYTHONPATH=tests python -m support.pulling.publish FOLDER minicpm-v-4.6 COMMAND ..

runs COMMAND with HF_ENDPOINT set to that Hub, and ends with it. Where the model has an official
language model, the checkpoint's own is converted for it. The files are held in memory, so the
checkpoint should be a small one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from support.pulling.local_hub import running_hub

from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.bundles.known_models import KNOWN_MODELS


def main(folder: Path, name: str, command: list[str]) -> int:
    """Publish, run the command, and return its exit code."""
    model = KNOWN_MODELS[name]
    with running_hub() as hub, tempfile.TemporaryDirectory() as room:
        hub.add(model.checkpoint, folder)
        if model.gguf is not None:
            bundle = export_bundle(folder, Path(room) / "bundle", llm_type="q4_k_m", modes=["16x"], precisions=["fp16"])
            files = Path(room) / "gguf"
            files.mkdir()
            bundle.llm_path.rename(files / "Language-Model-Q4_K_M.gguf")
            hub.add(model.gguf, files)
        told = {"HF_ENDPOINT": hub.url, "HF_HOME": room, "NO_PROXY": "127.0.0.1"}
        return subprocess.run(command, env=os.environ | told, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
