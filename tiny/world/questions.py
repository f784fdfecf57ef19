"""Questions about a scene, with their exact answers, which are computed from the scene."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from uhd_edge.tiny.world.scenes import COLOUR_NAMES, SHAPES, Object, Scene

NO_CODE = "there is none"
ABSENT = 0.15  # the share of code questions about an object that is not there
DIRECTIONS: dict[str, Callable[[Object], float]] = {
    "leftmost": lambda drawn: drawn.x,
    "rightmost": lambda drawn: -drawn.x,
    "highest": lambda drawn: drawn.y,
    "lowest": lambda drawn: -drawn.y,
}


@dataclass(frozen=True)
class Question:
    """A question with its true answer. `kind` is a key of `KINDS`."""

    kind: str
    text: str
    answer: str


def code_question(scene: Scene, dice: random.Random) -> Question:
    """Ask "What is the code on the red circle?", sometimes about an object that is not there."""
    if dice.random() < ABSENT:
        colour, shape = _absent(scene, dice)
        return Question("code", f"What is the code on the {colour} {shape}?", NO_CODE)
    drawn = dice.choice(scene.objects)
    return Question("code", f"What is the code on the {drawn.colour} {drawn.shape}?", drawn.code)


def labelled_question(scene: Scene, dice: random.Random) -> Question:
    """Ask "What is labelled K7Q?"."""
    drawn = dice.choice(scene.objects)
    return Question("labelled", f"What is labelled {drawn.code}?", f"a {drawn.colour} {drawn.shape}")


def shape_count_question(scene: Scene, dice: random.Random) -> Question:
    """Ask "How many circles are there?"."""
    shape = dice.choice([*SHAPES, *(drawn.shape for drawn in scene.objects)])
    count = sum(drawn.shape == shape for drawn in scene.objects)
    return Question("count shapes", f"How many {shape}s are there?", str(count))


def colour_count_question(scene: Scene, dice: random.Random) -> Question:
    """Ask "How many red objects are there?"."""
    colour = dice.choice([dice.choice(COLOUR_NAMES), dice.choice(scene.objects).colour])
    count = sum(drawn.colour == colour for drawn in scene.objects)
    return Question("count colours", f"How many {colour} objects are there?", str(count))


def presence_question(scene: Scene, dice: random.Random) -> Question:
    """Ask "Is there a red circle?". Half of the answers are yes."""
    if dice.random() < 0.5:
        drawn = dice.choice(scene.objects)
        return Question("presence", f"Is there a {drawn.colour} {drawn.shape}?", "yes")
    colour, shape = _absent(scene, dice)
    return Question("presence", f"Is there a {colour} {shape}?", "no")


def extreme_question(scene: Scene, dice: random.Random) -> Question:
    """Ask "Which object is the leftmost?". The centres of the shapes decide."""
    direction = dice.choice(list(DIRECTIONS))
    drawn = min(scene.objects, key=DIRECTIONS[direction])
    return Question("extreme", f"Which object is the {direction}?", f"the {drawn.colour} {drawn.shape}")


def describe_question(scene: Scene, _dice: random.Random) -> Question:
    """Ask for a description of the scene. The answer names the objects from left to right."""
    ordered = sorted(scene.objects, key=lambda drawn: drawn.x)
    listed = ", ".join(f"a {drawn.colour} {drawn.shape} labelled {drawn.code}" for drawn in ordered)
    noun = "object" if len(ordered) == 1 else "objects"
    return Question("describe", "Describe the scene.", f"{len(ordered)} {noun}: {listed}.")


KINDS: dict[str, Callable[[Scene, random.Random], Question]] = {
    "code": code_question,
    "labelled": labelled_question,
    "count shapes": shape_count_question,
    "count colours": colour_count_question,
    "presence": presence_question,
    "extreme": extreme_question,
    "describe": describe_question,
}
MEASURED_KINDS = tuple(kind for kind in KINDS if kind != "describe")


def ask(scene: Scene, kind: str, seed: str) -> Question:
    """A question of the given kind about a scene, drawn by `seed`."""
    return KINDS[kind](scene, random.Random(f"{seed}/{kind}"))


def _absent(scene: Scene, dice: random.Random) -> tuple[str, str]:
    """A colour and shape that no object has. In half of the cases, some object has this colour."""
    present = {(drawn.colour, drawn.shape) for drawn in scene.objects}
    every = [(colour, shape) for colour in COLOUR_NAMES for shape in SHAPES if (colour, shape) not in present]
    colours = {drawn.colour for drawn in scene.objects}
    near = [pair for pair in every if pair[0] in colours]
    return dice.choice(near if near and dice.random() < 0.5 else every)
