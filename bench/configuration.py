"""What is measured: sizes of pictures, modes, precisions and engines, each with each."""

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
    """The bytes of an image file of `width` x `height` pixels."""

    width: int
    height: int
    data: bytes

    @property
    def name(self) -> str:
        """The size as it is written on a command line."""
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Configuration:
    """One thing to measure: a picture, and what encodes it."""

    picture: Picture
    mode: Mode
    precision: PrecisionName
    engine: EngineName


@dataclass(frozen=True)
class Settings:
    """How it is measured: the same for every configuration.

    `rounds` are counted, `warm_up` runs before them are not. `max_tokens` are the most that an
    answer may have. `threads`, `context` and `max_slices` are as in `uhd ask`.
    Raises `OptionError` for invalid settings.
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
    """Every picture in every mode, precision and engine; raises `OptionError` for a name that does not exist."""
    every: Iterable[tuple[Picture, Mode, PrecisionName, EngineName]] = itertools.product(
        pictures,
        _known(modes, MODES, "mode"),
        _known(precisions, PRECISIONS, "precision"),
        _known(engines, ENGINE_NAMES, "engine"),
    )
    return [Configuration(*one) for one in every]


def _known(given: Sequence[str], valid: tuple[_Name, ...], what: str) -> list[_Name]:
    """Drop repetitions."""
    by_name = {str(name): name for name in valid}
    unknown = [name for name in given if name not in by_name]
    if unknown or not given:
        named = f"no {what} {', '.join(map(repr, unknown))}" if unknown else f"no {what} given"
        raise OptionError(f"{named}; valid are {', '.join(valid)}")
    return [by_name[name] for name in dict.fromkeys(given)]
