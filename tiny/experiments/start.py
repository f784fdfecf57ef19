"""Make what all rows begin with: `python -m uhd_edge.tiny.experiments.start FOLDER`.

The tower learns to see without a compressor, with the heads that uhd-tiny's had, and `alphabet.py` finds
what a trained language model reads. Both go into `start.safetensors` here, with that language model, in
float16. The one here has that of `tiny/checkpoint` at commit 849a348, which makes it again when it is named
with `--checkpoint`. The run goes on where it stopped when it is started again with the same folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from uhd_edge.export.tower import VisionTower
from uhd_edge.tiny.experiments.alphabet import load_with_symbols
from uhd_edge.tiny.experiments.rows import BEFORE
from uhd_edge.tiny.experiments.world import SEEING_KINDS
from uhd_edge.tiny.training.reading import Reader
from uhd_edge.tiny.training.recipe import Stage
from uhd_edge.tiny.training.train import Plan, train
from uhd_edge.tiny.world.tokenizer import RememberingEncoder

START = Path(__file__).parent / "start.safetensors"
CHECKPOINT = Path(__file__).resolve().parents[1] / "checkpoint"
SEEING = Stage(
    "seeing",
    480,
    {"text": 0.4, "crowded": 0.3, "text slices": 0.15, "crowded slices": 0.15},
    rate=2e-3,
    text_rate=0.0,
    symbols=0.0,
    decay=0.3,
)


def make_start(folder: Path, checkpoint: Path, target: Path, stage: Stage = SEEING) -> None:
    """Train the tower in `folder`, find what the checkpoint's language model reads, and write both to `target`."""
    state = train(folder, (stage,), Plan(0, tower=BEFORE, kinds=SEEING_KINDS), torch.device("cpu"))
    save_start(state.model.seer.tower, load_with_symbols(checkpoint, RememberingEncoder()).reader, target)


def save_start(tower: VisionTower, reader: Reader, target: Path) -> None:
    """Write what `load_start` reads."""
    tensors = {
        f"{part}.{name}": tensor.half().contiguous()
        for part, module in (("tower", tower), ("symbols", reader.symbols), ("text", reader.text))
        for name, tensor in module.state_dict().items()
    }
    save_file(tensors, target)


def load_start(tower: VisionTower, reader: Reader, file: Path = START) -> None:
    """Give `tower` and `reader` the weights they begin with; a compressor keeps its own."""
    tensors = {name: tensor.float() for name, tensor in load_file(file).items()}

    def below(part: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(part): tensor for name, tensor in tensors.items() if name.startswith(part)}

    left_out = tower.load_state_dict(below("tower."), strict=False)
    if left_out.unexpected_keys or any(not name.startswith("vit_merger.") for name in left_out.missing_keys):
        raise ValueError(f"{file} has another tower's weights: {left_out}")
    reader.symbols.load_state_dict(below("symbols."))
    reader.text.load_state_dict(below("text."))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder for the state of the run and its log")
    parser.add_argument("--to", type=Path, default=START, help="file to write (default: the one here)")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        default=CHECKPOINT,
        help="whose language model the rows get (default: the built-in model's)",
    )
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    make_start(arguments.folder, arguments.checkpoint, arguments.to)


if __name__ == "__main__":
    main()
