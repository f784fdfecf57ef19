"""What is measured: every combination of the given pictures, modes, precisions and engines."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, get_args

from uhd_edge.engines.names import ENGINE_NAMES, EngineName
from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.modes import Mode, Precision
from uhd_edge.runtime.validation import HIGHEST_COUNT, MOST_THREADS, require_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PrecisionName: TypeAlias = Precision | Literal["auto"]
MODES: tuple[Mode, ...] = get_args(Mode)
PRECISIONS: tuple[PrecisionName, ...] = ("auto", *get_args(Precision))
MOST_ROUNDS = 1000

_Name = TypeVar("_Name", bound=str)


@dataclass(frozen=True)
class Picture:
    """An image file with `width` x `height` pixels, as bytes."""

    width: int
    height: int
    data: bytes

    @property
    def name(self) -> str:
        """The size, as on a command line: `WIDTHxHEIGHT`."""
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Configuration:
    """One combination to measure: a picture, and the mode, precision and engine that encode it."""

    picture: Picture
    mode: Mode
    precision: PrecisionName
    engine: EngineName


@dataclass(frozen=True)
class Settings:
    """How to measure. The settings are the same for every configuration.

    `rounds` is the number of runs that count, `warm_up` the number of runs before them that do not.
    `max_tokens` limits the length of an answer. `threads`, `context` and `max_slices` are those of
    `uhd ask`. Raises `OptionError` for invalid settings.
    """

    rounds: int = 5
    warm_up: int = 1
    max_tokens: int = 16
    threads: int | None = None
    context: int = 4096
    max_slices: int | None = None

    def __post_init__(self) -> None:
        require_whole("rounds", self.rounds, 1, MOST_ROUNDS)
        require_whole("warm_up", self.warm_up, 0, MOST_ROUNDS)
        require_whole("max_tokens", self.max_tokens, 1, HIGHEST_COUNT)
        require_whole("context", self.context, 2, HIGHEST_COUNT)
        if self.threads is not None:
            require_whole("threads", self.threads, 1, MOST_THREADS)
        if self.max_slices is not None:
            require_whole("max_slices", self.max_slices, 1, HIGHEST_COUNT)


def configurations(
    pictures: Sequence[Picture], modes: Sequence[str], precisions: Sequence[str], engines: Sequence[str]
) -> list[Configuration]:
    """Every combination of a picture, a mode, a precision and an engine; raises `OptionError` for an unknown name."""
    every: Iterable[tuple[Picture, Mode, PrecisionName, EngineName]] = itertools.product(
        pictures,
        _known(modes, MODES, "mode"),
        _known(precisions, PRECISIONS, "precision"),
        _known(engines, ENGINE_NAMES, "engine"),
    )
    return [Configuration(*one) for one in every]


def _known(given: Sequence[str], valid: tuple[_Name, ...], what: str) -> list[_Name]:
    """Drop repetitions; raises `OptionError` if a name is unknown, or if there is none."""
    by_name = {str(name): name for name in valid}
    unknown = [name for name in given if name not in by_name]
    if unknown or not given:
        named = f"no {what} {', '.join(map(repr, unknown))}" if unknown else f"no {what} given"
        raise OptionError(f"{named}; valid are {', '.join(valid)}")
    return [by_name[name] for name in dict.fromkeys(given)]
