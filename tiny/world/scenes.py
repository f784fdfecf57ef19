"""Scenes of a workbench seen from above, drawn at random by a seed."""

from __future__ import annotations

import functools
import math
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFont

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (50, 80, 220),
    "yellow": (235, 205, 40),
    "purple": (140, 60, 180),
    "orange": (240, 140, 30),
    "black": (25, 25, 25),
    "white": (250, 250, 250),
}
COLOUR_NAMES = tuple(COLOURS)
SHAPES = ("circle", "square", "triangle", "star")
NO_SHAPE = "none"  # a code without a shape; only in pictures that train the tower alone
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"  # no I, no O
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif")
CODE_LENGTHS = (3, 3)
COLOUR_SHIFT = 12  # each channel of an object's colour is changed by up to this much
RADIUS = (0.9, 1.6)  # of a shape, in font sizes
BACKGROUND = (90, 210)  # range of each channel
NOISE = (0.0, 8.0)  # standard deviation, in channel values
JPEG_QUALITY = (60, 95)
BASELINE = 0.95  # from the shape's lower edge to the code's baseline, in font sizes
DESCENT = 0.15  # height of a code below its baseline, in font sizes
MARGIN = 4  # least number of pixels between two objects' boxes, and between a box and the border

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


@dataclass(frozen=True)
class Object:
    """A filled shape with its code centred under it. `x`, `y` are the shape's centre in pixels."""

    colour: str
    shape: str
    rgb: Colour
    x: float
    y: float
    radius: float
    code: str
    font: str
    size: int

    @functools.cached_property
    def baseline(self) -> float:
        """The y coordinate of the code's baseline, in pixels."""
        return self.y + self.radius + BASELINE * self.size

    @functools.cached_property
    def code_left(self) -> float:
        """The x coordinate where the code starts, in pixels."""
        return self.x - code_width(self.code, self.font, self.size) / 2

    @functools.cached_property
    def box(self) -> Box:
        """Left, top, right, bottom of shape and code together, in pixels."""
        half = max(self.radius, code_width(self.code, self.font, self.size) / 2)
        return self.x - half, self.y - self.radius, self.x + half, self.baseline + DESCENT * self.size


@dataclass(frozen=True)
class Scene:
    """Everything needed to draw a picture, and to answer every question about it."""

    width: int
    height: int
    background: tuple[Colour, Colour]  # a gradient from one to the other
    angle: float  # of the gradient, radians
    noise: float
    noise_seed: int
    jpeg_quality: int | None
    objects: tuple[Object, ...]


@dataclass(frozen=True)
class World:
    """The ranges from which scenes are drawn, both ends included. Sizes are in pixels.

    With an `overhang`, objects may stick out of the picture by that share of their box. This
    teaches the tower what slices look like. Questions are asked only about worlds without it.
    """

    sides: tuple[int, int]
    objects: tuple[int, int]
    fonts: tuple[int, int]
    overhang: float = 0.0
    code_lengths: tuple[int, int] = CODE_LENGTHS
    alphabet: str = ALPHABET


SINGLE = World(sides=(224, 224), objects=(1, 2), fonts=(26, 36))
SLICED = World(sides=(480, 640), objects=(3, 4), fonts=(26, 36))
# The harder world, that of the first plan, from which two thirds of the pictures in uhd-tiny's training are.
HARD_SINGLE = World(sides=(224, 224), objects=(1, 2), fonts=(24, 40), code_lengths=(3, 5))
HARD_SLICED = World(sides=(480, 800), objects=(3, 6), fonts=(20, 32), code_lengths=(3, 5))


def font_file(name: str) -> Path:
    """The file of a DejaVu font, from Debian's fonts-dejavu or from matplotlib.

    Raises FileNotFoundError when neither is installed.
    """
    folders = [Path("/usr/share/fonts/truetype/dejavu")]
    try:
        import matplotlib

        folders.append(Path(matplotlib.get_data_path()) / "fonts" / "ttf")
    except ImportError:
        pass
    for folder in folders:
        if (folder / f"{name}.ttf").exists():
            return folder / f"{name}.ttf"
    raise FileNotFoundError(f"{name}.ttf not found: install fonts-dejavu or matplotlib")


@functools.cache
def load_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """One of `FONTS` at a size in pixels."""
    return ImageFont.truetype(font_file(name), size, layout_engine=ImageFont.Layout.BASIC)


def code_width(code: str, font: str, size: int) -> float:
    """The advance width of a code in pixels."""
    return sum(glyph_advance(character, font, size) for character in code)


@functools.cache
def glyph_advance(character: str, font: str, size: int) -> float:
    """The advance width of one character in pixels."""
    return load_font(font, size).getlength(character)


def draw_scene(seed: str, world: World, size: tuple[int, int] | None = None) -> Scene:
    """Draw a scene, of the given (width, height) or of one from `world`. The same seed gives the same scene."""
    dice = random.Random(seed)
    width, height = size or (dice.randint(*world.sides), dice.randint(*world.sides))
    first, second = _background(dice), _background(dice)
    return Scene(
        width=width,
        height=height,
        background=(first, second if dice.random() < 0.5 else first),
        angle=dice.uniform(0, 2 * math.pi),
        noise=dice.uniform(*NOISE),
        noise_seed=dice.randrange(2**31),
        jpeg_quality=dice.randint(*JPEG_QUALITY) if dice.random() < 0.5 else None,
        objects=_draw_objects(dice, world, width, height),
    )


def _background(dice: random.Random) -> Colour:
    return dice.randint(*BACKGROUND), dice.randint(*BACKGROUND), dice.randint(*BACKGROUND)


def _draw_objects(dice: random.Random, world: World, width: int, height: int) -> tuple[Object, ...]:
    wanted = dice.randint(*world.objects)
    kinds = dice.sample([(colour, shape) for colour in COLOUR_NAMES for shape in SHAPES], wanted)
    placed: list[Object] = []
    for _ in range(20 + 4 * wanted):
        if len(placed) == wanted:
            break
        candidate = _draw_object(dice, world, kinds[len(placed)], width, height)
        if candidate is not None and all(_apart(candidate, other) for other in placed):
            placed.append(candidate)
    if len(placed) < world.objects[0]:
        return _draw_objects(dice, world, width, height)
    return tuple(placed)


def _draw_object(dice: random.Random, world: World, kind: tuple[str, str], width: int, height: int) -> Object | None:
    colour, shape = kind
    size = dice.randint(*world.fonts)
    radius = dice.uniform(*RADIUS) * size
    code = "".join(dice.choice(world.alphabet) for _ in range(dice.randint(*world.code_lengths)))
    font = dice.choice(FONTS)
    half = max(radius, code_width(code, font, size) / 2)
    tall = 2 * radius + (BASELINE + DESCENT) * size
    left = MARGIN + half - world.overhang * 2 * half
    top = MARGIN + radius - world.overhang * tall
    right = width - left
    bottom = height - MARGIN - (tall - radius) + world.overhang * tall
    if right <= left or bottom <= top:
        return None
    red, green, blue = (
        min(255, max(0, channel + dice.randint(-COLOUR_SHIFT, COLOUR_SHIFT))) for channel in COLOURS[colour]
    )
    x, y = dice.uniform(left, right), dice.uniform(top, bottom)
    return Object(colour, shape, (red, green, blue), x, y, radius, code, font, size)


def _apart(one: Object, other: Object) -> bool:
    a, b = one.box, other.box
    separate = a[2] + MARGIN < b[0] or b[2] + MARGIN < a[0] or a[3] + MARGIN < b[1] or b[3] + MARGIN < a[1]
    return separate and one.code != other.code
