"""MiniCPM-V 4.7 as its users get it: pulled by its name with a ready language model, without torch, and asked."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Any

from parity.conversations import Reference, generate_greedily, picture
from support.checkpoints import load_model
from support.export.outcome import run_python

from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.bundles.bundle import Bundle

if TYPE_CHECKING:
    from pathlib import Path

    from support.pulling.local_hub import LocalHub

NAME, REPOSITORY = "minicpm-v-4.7-1b", "openbmb/MiniCPM-V-4.7-1B"
QUESTION = "What is the code on the red circle?"
TIE = 0.005  # where transformers is this undecided between two tokens, rounding decides
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["transformers"] = sys.modules["gguf"] = None
from uhd_edge.cli.main import run
run(["pull", sys.argv[1], "--precisions", "fp32", "--modes", "16x"])
"""


def test_five_cuts_later_it_answers_as_transformers_does(
    empty_hub: LocalHub,
    tmp_path: Path,
    canvas_checkpoint: Path,
    canvas_bundle: Bundle,
) -> None:
    ready = canvas_bundle.llm_path.read_bytes()
    ours, theirs = pack("<4i", 0, 3, 2, 3), pack("<4i", 3, 3, 2, 0)
    assert ready.count(ours) == 1
    (tmp_path / "gguf").mkdir()
    (tmp_path / "gguf" / "MiniCPM-V-4_7-1B-Q4_K_M.gguf").write_bytes(ready.replace(ours, theirs))
    empty_hub.add(REPOSITORY, canvas_checkpoint)
    empty_hub.add(f"{REPOSITORY}-gguf", tmp_path / "gguf")
    empty_hub.cuts += [100_000, 200_000, 50_000, 70_000, 150_000]

    done = run_python(WITHOUT_TORCH, NAME)
    assert done.returncode == 0, done.stderr
    assert not empty_hub.cuts
    assert sum(asked is not None for _, asked in empty_hub.downloaded()) == 5
    bundle = Bundle.open(NAME)
    bundle.check_files()
    assert bundle.llm_path.read_bytes() == ready
    assert bundle.manifest.origin is not None
    assert bundle.manifest.origin.language_model == f"{REPOSITORY}-gguf/MiniCPM-V-4_7-1B-Q4_K_M.gguf"

    image, reference = picture(0, 365, 211), Reference(canvas_checkpoint)
    inputs: Any = reference.inputs([("user", [image, QUESTION])], "16x", 9)
    tokens, ahead = generate_greedily(load_model(canvas_checkpoint), inputs, "16x", 32)
    count = next((step for step, margin in enumerate(ahead) if margin < TIE), len(tokens))
    assert count > 8
    with Assistant(NAME, threads=1) as assistant:
        answer = assistant.ask(image, QUESTION, max_slices=9, think_tokens=count, max_tokens=2)
    assert answer.usage.prompt_tokens == inputs["input_ids"].shape[1]
    assert answer.thinking == reference.processor.post_process_image_text_to_text([tokens[:count]])[0].strip()
