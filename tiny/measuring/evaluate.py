"""Measures a checkpoint on the measured sets, with the torch model of the training.

`python -m uhd_edge.tiny.measuring.evaluate CHECKPOINT` prints a line for each setting.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from uhd_edge.tiny.measuring.measured import EASY_SETTINGS, HARD_SETTINGS, QUESTIONS, measured_set
from uhd_edge.tiny.training.joining import Joined, picture_batch
from uhd_edge.tiny.training.reading import Reader, answer_scores
from uhd_edge.tiny.training.saved_model import load_checkpoint
from uhd_edge.tiny.training.seeing import Seer
from uhd_edge.tiny.world.conversations import Encodes
from uhd_edge.tiny.world.tokenizer import train_tokenizer

MAX_SLICES = 9


def load_joined(folder: Path) -> Joined:
    """Load a saved checkpoint, in float32."""
    tokenizer = train_tokenizer()
    model = Joined(Seer(0), Reader(0, tokenizer))
    tower, connector, text = load_checkpoint(folder)
    model.seer.tower, model.seer.connector = tower, connector
    model.reader.text.load_state_dict(text)
    return model.eval()


@torch.no_grad()
def measure(
    model: Joined,
    tokenizer: Encodes,
    name: str,
    *,
    compress: bool,
    max_slices: int = MAX_SLICES,
    count: int = QUESTIONS,
) -> dict[str, float]:
    """Share of right answers by kind of question and in all. An answer is right if greedy decoding would give it."""
    entries = list(measured_set(name, count))
    size = 30 if name.endswith("single") else 6
    right: dict[str, list[bool]] = {}
    for start in range(0, len(entries), size):
        some = entries[start : start + size]
        batch = picture_batch(
            tokenizer,
            [entry.scene for entry in some],
            [[entry.question] for entry in some],
            compress=compress,
            max_slices=max_slices,
        )
        logits, _ = model(batch)
        for kind, exact in answer_scores(logits.float(), batch.packed, batch.questions).items():
            right.setdefault(kind, []).extend(exact)
    table = {kind: sum(exact) / len(exact) for kind, exact in right.items()}
    return table | {"all": sum(map(sum, right.values())) / len(entries)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    known = HARD_SETTINGS + EASY_SETTINGS
    parser.add_argument(
        "--settings",
        nargs="*",
        choices=[setting.title for setting in known],
        default=[setting.title for setting in known],
    )
    parser.add_argument("--count", type=int, default=QUESTIONS, help="number of questions in each set")
    arguments = parser.parse_args()
    model = load_joined(arguments.checkpoint)
    for setting in known:
        if setting.title not in arguments.settings:
            continue
        table = measure(
            model,
            train_tokenizer(),
            setting.measured_set,
            compress=setting.mode == "16x",
            max_slices=setting.max_slices or MAX_SLICES,
            count=arguments.count,
        )
        shares = {kind: round(share, 3) for kind, share in table.items()}
        print(json.dumps({"setting": setting.title, **shares}), flush=True)


if __name__ == "__main__":
    main()
