"""The settings that are compared, and how every question is asked in each of them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from uhd_edge.engines.names import ENGINE_NAMES, EngineName
from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.modes import Mode, Precision
from uhd_edge.runtime.validation import HIGHEST_COUNT, MOST_THREADS, require_number, require_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PrecisionName = Precision | Literal["auto"]
MODES: tuple[Mode, ...] = get_args(Mode)
PRECISIONS: tuple[PrecisionName, ...] = ("auto", *get_args(Precision))

_Name = TypeVar("_Name", bound=str)


@dataclass(frozen=True)
class Setting:
    """One column of the table; `max_slices` None is the bundle's own number."""

    mode: Mode
    max_slices: int | None = None
    precision: PrecisionName = "auto"
    engine: EngineName = "auto"

    @property
    def label(self) -> str:
        """What was chosen, in short: `16x, 9 slices, int8, openvino`."""
        slices = None if self.max_slices is None else f"{self.max_slices} slice{'s' if self.max_slices > 1 else ''}"
        engine = None if self.engine == "auto" else self.engine
        return ", ".join(part for part in (self.mode, slices, self.precision, engine) if part is not None)


@dataclass(frozen=True)
class Asking:
    """How every question is asked: `suffix` is written behind it on a line of its own; the rest is as in `AskOptions`.

    Raises `OptionError` for invalid values.
    """

    max_tokens: int = 256
    repetition_penalty: float = 1.0
    suffix: str = ""
    context: int = 4096
    threads: int | None = None
    gpu_layers: int | Literal["auto"] = "auto"
    think: bool | None = None
    think_tokens: int = 1024

    def __post_init__(self) -> None:
        require_whole("max_tokens", self.max_tokens, 1, HIGHEST_COUNT)
        require_whole("context", self.context, 2, HIGHEST_COUNT)
        require_number("repetition_penalty", self.repetition_penalty, 0.01, 100, hint="from 0.01 to 100")
        require_whole("think_tokens", self.think_tokens, 0, HIGHEST_COUNT)
        if self.threads is not None:
            require_whole("threads", self.threads, 1, MOST_THREADS)

    def text(self, question: str) -> str:
        """The question with the suffix."""
        return f"{question}\n{self.suffix}" if self.suffix else question


def all_settings(
    modes: Sequence[str], max_slices: Sequence[int | None], precisions: Sequence[str], engines: Sequence[str]
) -> list[Setting]:
    """Every mode with every number of slices, precision and engine; raises `OptionError` for an unknown name."""
    for number in max_slices:
        if number is not None:
            require_whole("max_slices", number, 1, HIGHEST_COUNT)
    every: Iterable[tuple[Mode, int | None, PrecisionName, EngineName]] = itertools.product(
        _known(modes, MODES, "mode"),
        dict.fromkeys(max_slices),
        _known(precisions, PRECISIONS, "precision"),
        _known(engines, ENGINE_NAMES, "engine"),
    )
    return [Setting(*one) for one in every]


def _known(given: Sequence[str], valid: tuple[_Name, ...], what: str) -> list[_Name]:
    """Drop repetitions."""
    by_name = {str(name): name for name in valid}
    unknown = [name for name in given if name not in by_name]
    if unknown or not given:
        named = f"no {what} {', '.join(map(repr, unknown))}" if unknown else f"no {what} given"
        raise OptionError(f"{named}; valid are {', '.join(valid)}")
    return [by_name[name] for name in dict.fromkeys(given)]
