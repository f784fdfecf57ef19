"""The measured sets, drawn with seeds that training never uses, and the settings they are asked in.

`python -m uhd_edge.tiny.measuring.measured FOLDER` writes them as data sets for `uhd eval`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from uhd_edge.runtime.modes import Mode
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.questions import MEASURED_KINDS, Question, ask
from uhd_edge.tiny.world.scenes import HARD_SINGLE, HARD_SLICED, SINGLE, SLICED, Scene, World, draw_scene

# A scene's seed has the name of its set in it: under another name a set would have other pictures.
MEASURED_SETS: dict[str, World] = {
    "hard single": HARD_SINGLE,
    "hard sliced": HARD_SLICED,
    "single": SINGLE,
    "sliced": SLICED,
}
QUESTIONS = 600


@dataclass(frozen=True)
class Setting:
    """One column of the results: a measured set and the options it is asked with.

    With `max_slices` None, the bundle's default applies.
    """

    title: str
    measured_set: str
    mode: Mode
    max_slices: int | None = None


EASY_SETTINGS = (
    Setting("single, 16x", "single", "16x"),
    Setting("single, 4x", "single", "4x"),
    Setting("sliced, 16x", "sliced", "16x"),
    Setting("sliced, 16x, 1 slice", "sliced", "16x", max_slices=1),
    Setting("sliced, 4x", "sliced", "4x"),
)
HARD_SETTINGS = tuple(
    replace(one, title=f"hard {one.title}", measured_set=f"hard {one.measured_set}") for one in EASY_SETTINGS
)


@dataclass(frozen=True)
class Measured:
    """One scene of a measured set, with its question."""

    scene: Scene
    question: Question

    @property
    def picture(self) -> Image.Image:
        """The RGB picture to ask about."""
        return draw_picture(self.scene)


def measured_set(name: str, count: int = QUESTIONS) -> Iterator[Measured]:
    """The first `count` questions of a set, such as `single` or `hard sliced`. Each is about another scene.

    The kinds of question take turns, so that each is asked equally often.
    """
    world = MEASURED_SETS[name]
    for index in range(count):
        seed = f"measured/{name}/{index}"
        scene = draw_scene(seed, world)
        yield Measured(scene, ask(scene, MEASURED_KINDS[index % len(MEASURED_KINDS)], seed))


def write_set(name: str, folder: Path, count: int = QUESTIONS) -> Path:
    """Write the first `count` questions of a set as JSON lines with a PNG each, and return the file of questions."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    rows = []
    for index, entry in enumerate(measured_set(name, count)):
        picture = f"{name}/{index:03}.png"
        entry.picture.save(folder / picture)
        asked = entry.question
        rows.append({"image": picture, "question": asked.text, "answer": asked.answer, "group": asked.kind})
    file = folder / f"{name}.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=QUESTIONS, help="number of questions in each set (default: 600)")
    arguments = parser.parse_args()
    for name in MEASURED_SETS:
        print(write_set(name, arguments.folder, arguments.count))


if __name__ == "__main__":
    main()
