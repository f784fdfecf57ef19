"""Writes the example pictures and their questions: `python -m uhd_edge.tiny.world.examples FOLDER`.

Training never uses their seeds. The seeds were chosen so that the former uhd-tiny answered every
question right; the built-in one does too.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.questions import MEASURED_KINDS, Question, ask
from uhd_edge.tiny.world.scenes import SINGLE, SLICED, Scene, World, draw_scene


@dataclass(frozen=True)
class Example:
    """An example picture: its file name, seed, world and size (width, height) in pixels."""

    file: str
    seed: str
    world: World
    size: tuple[int, int]

    @property
    def scene(self) -> Scene:
        """The scene that the picture shows."""
        return draw_scene(self.seed, self.world, self.size)

    @property
    def questions(self) -> list[Question]:
        """One question of each measured kind."""
        return [ask(self.scene, kind, self.seed) for kind in MEASURED_KINDS]


EXAMPLES = (
    Example("bench.png", "example/bench/1", SINGLE, (224, 224)),
    Example("sliced.jpg", "example/sliced/0", SLICED, (700, 560)),
    Example("wide.png", "example/wide/10", SLICED, (800, 300)),
)


def write_examples(folder: Path) -> None:
    """Write the pictures and `questions.jsonl`, a data set for `uhd eval`: a question and its true answer a line."""
    rows = []
    for example in EXAMPLES:
        draw_picture(example.scene).save(folder / example.file, quality=95)  # which PNG ignores
        rows += [
            {"image": example.file, "question": q.text, "answer": q.answer, "group": q.kind} for q in example.questions
        ]
    (folder / "questions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    write_examples(parser.parse_args().folder)


if __name__ == "__main__":
    main()
