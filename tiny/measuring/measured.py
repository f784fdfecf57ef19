"""The measured sets, drawn with seeds that training never uses, and the settings they are asked in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from uhd_edge.runtime.modes import Mode
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.questions import MEASURED_KINDS, Question, ask
from uhd_edge.tiny.world.scenes import SINGLE, SLICED, Scene, World, draw_scene

MEASURED_SETS: dict[str, World] = {"single": SINGLE, "sliced": SLICED}
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


SETTINGS = (
    Setting("single, 16x", "single", "16x"),
    Setting("single, 4x", "single", "4x"),
    Setting("sliced, 16x", "sliced", "16x"),
    Setting("sliced, 16x, 1 slice", "sliced", "16x", max_slices=1),
    Setting("sliced, 4x", "sliced", "4x"),
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
    """The first `count` questions of the set `single` or `sliced`. Each is about another scene.

    The kinds of question take turns, so that each is asked equally often.
    """
    for index in range(count):
        seed = f"measured/{name}/{index}"
        scene = draw_scene(seed, MEASURED_SETS[name])
        yield Measured(scene, ask(scene, MEASURED_KINDS[index % len(MEASURED_KINDS)], seed))
