"""The measured sets, drawn with seeds that training never uses, and the model's exact matches on them.

`python -m uhd_edge.tiny.evaluate CHECKPOINT` prints a line for each way of asking.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from uhd_edge.tiny.conversations import Encodes
from uhd_edge.tiny.drawing import draw_picture
from uhd_edge.tiny.joining import Joined, picture_batch
from uhd_edge.tiny.questions import MEASURED_KINDS, Question, ask
from uhd_edge.tiny.reading import Reader, answer_scores
from uhd_edge.tiny.saved_model import load_checkpoint
from uhd_edge.tiny.scenes import SINGLE, SLICED, Scene, World, draw_scene
from uhd_edge.tiny.seeing import Seer
from uhd_edge.tiny.tokenizer import train_tokenizer

MEASURED_SETS: dict[str, World] = {"single": SINGLE, "sliced": SLICED}
QUESTIONS = 600


@dataclass(frozen=True)
class Measured:
    """One entry of a measured set."""

    scene: Scene
    question: Question

    @property
    def picture(self) -> Image.Image:
        """The RGB picture to ask about."""
        return draw_picture(self.scene)


def measured_set(name: str, count: int = QUESTIONS) -> Iterator[Measured]:
    """The first `count` questions of `single` or `sliced`, each about a scene of its own.

    The kinds of question take turns, so that each is asked equally often.
    """
    for index in range(count):
        seed = f"measured/{name}/{index}"
        scene = draw_scene(seed, MEASURED_SETS[name])
        yield Measured(scene, ask(scene, MEASURED_KINDS[index % len(MEASURED_KINDS)], seed))


def load_joined(folder: Path) -> Joined:
    """The model of a saved checkpoint, in float32."""
    tokenizer = train_tokenizer()
    model = Joined(Seer(0), Reader(0, tokenizer))
    tower, connector, text = load_checkpoint(folder)
    model.seer.tower, model.seer.connector = tower, connector
    model.reader.text.load_state_dict(text)
    return model.eval()


@torch.no_grad()
def measure(
    model: Joined, tokenizer: Encodes, name: str, *, compress: bool, max_slices: int = 9, count: int = QUESTIONS
) -> dict[str, float]:
    """Exact match by kind of question and over all; an answer is right if greedy decoding would give it."""
    entries = list(measured_set(name, count))
    size = 30 if name == "single" else 6
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


WAYS: dict[str, tuple[str, bool, int]] = {  # set, compressed, slices at most
    "single 16x": ("single", True, 9),
    "single 4x": ("single", False, 9),
    "sliced 16x": ("sliced", True, 9),
    "sliced 16x, thumbnail only": ("sliced", True, 1),
    "sliced 4x": ("sliced", False, 9),
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--count", type=int, default=QUESTIONS, help="questions of each set")
    arguments = parser.parse_args()
    model = load_joined(arguments.checkpoint)
    for way in arguments.ways:
        name, compress, max_slices = WAYS[way]
        table = measure(model, train_tokenizer(), name, compress=compress, max_slices=max_slices, count=arguments.count)
        print(json.dumps({"way": way, **{kind: round(share, 3) for kind, share in table.items()}}), flush=True)


if __name__ == "__main__":
    main()
