"""The node's parameters: name, type by its default, what it is, and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from uhd_edge.engines.names import ENGINE_NAMES
from uhd_edge.robot.pixels.framing import TURNS
from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

Value: TypeAlias = "bool | int | float | str | Sequence[int]"


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    `least` and `most` are limits of a number, `choices` the texts or numbers that are allowed.
    What is `fixed` cannot be changed while the model is open.
    """

    name: str
    default: Value
    description: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str | int, ...] = ()
    fixed: bool = False

    def check(self, value: Value) -> None:
        """Raise `OptionError` for a value outside of the limits."""
        if self.choices and value not in self.choices:
            raise OptionError(f"{self.name} is {value!r}; give one of {', '.join(repr(one) for one in self.choices)}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.least is not None and not value >= self.least:
                raise OptionError(f"{self.name} is {value}; give at least {self.least}")
            if self.most is not None and not value <= self.most:
                raise OptionError(f"{self.name} is {value}; give at most {self.most}")


MOST = 2**31 - 1
MOST_WAITING = 64  # questions

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "autostart", True, "Configure and activate the node when it starts, without a lifecycle manager.", fixed=True
    ),
    Parameter(
        "bundle", "", "Folder of a bundle, or the name of a pulled model; empty: the built-in uhd-tiny.", fixed=True
    ),
    Parameter("engine", "auto", "What runs the vision graphs.", choices=ENGINE_NAMES, fixed=True),
    Parameter(
        "precision",
        "auto",
        "Of the vision graphs.",
        choices=("auto", "fp32", "fp16", "int8", "fp8", "nvfp4"),
        fixed=True,
    ),
    Parameter("threads", 0, "CPU threads; 0: all usable cores.", 0, 1024, fixed=True),
    Parameter("context", 4096, "Most tokens of prompt and answer together.", 2, MOST, fixed=True),
    Parameter("queue", 4, "How many questions of actions and services may wait.", 1, MOST_WAITING, fixed=True),
    Parameter("image_transport", "raw", "Which topics to read.", choices=("raw", "compressed", "both"), fixed=True),
    Parameter(
        "reliable", False, "Ask the camera to send lost frames again; its publisher must be reliable.", fixed=True
    ),
    Parameter("question", "", "The standing question about the newest frame; empty: none."),
    Parameter("rate", 0.0, "Most standing questions a second; 0: as many as there is time for.", 0.0, 1000.0),
    Parameter(
        "on_change", 0.0, "Ask only when a part of the picture changed by so many grey levels; 0: always.", 0.0, 255.0
    ),
    Parameter("max_tokens", 256, "Most tokens of an answer.", 1, MOST),
    Parameter("mode", "", "Compression of vision tokens; empty: the bundle's default.", choices=("", "16x", "4x")),
    Parameter("max_slices", 0, "Most slices of a picture; 0: the bundle's default.", 0, 1024),
    Parameter("budget_ms", 0.0, "Most milliseconds to the first token; 0: no budget.", 0.0, 1e9),
    Parameter("budget_share", 0.95, "How many of the promised questions are to keep the budget.", 0.5, 0.99),
    Parameter(
        "tolerance", 0.0, "Grey levels by which a view's pixels may differ to be taken as seen before.", 0.0, 255.0
    ),
    Parameter("temperature", 0.0, "0 always takes the likeliest token.", 0.0, 100.0),
    Parameter("think", False, "Let a model that can do so think before it answers."),
    Parameter("schema", "", "JSON schema that answers must fit; empty: none."),
    Parameter("rotate", 0, "Degrees by which frames are turned clockwise.", choices=TURNS),
    Parameter("region", (0, 0, 0, 0), "Part of a frame to look at: x, y, width, height in pixels; zeros: all of it."),
)
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}
