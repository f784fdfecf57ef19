"""Stop texts, which end an answer before the model does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_STOPS = 16


def parse_stops(stop: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return one text or several as a tuple; raises `OptionError` for anything else, empty ones and more than 16."""
    if stop is None:
        return ()
    stops = (stop,) if isinstance(stop, str) else stop
    if not isinstance(stops, Sequence) or not all(isinstance(text, str) and text for text in stops):
        message = f"stop is {stop!r}; it must be a text, or a list of texts, none of them empty"
        raise OptionError(message, parameter="stop")
    if len(stops) > MOST_STOPS:
        raise OptionError(f"stop has {len(stops)} texts; it may have {MOST_STOPS}", parameter="stop")
    return tuple(stops)


class StoppedText:
    """Iterates over pieces of text up to the first of the `stops`; `found` is that stop, "" without one.

    `rest` is what was read after the stop, mostly nothing.

    Text that may be the beginning of a stop is held back until that is certain. So there is a
    piece for every piece that was read, perhaps an empty one, and one more at the end.
    """

    def __init__(self, pieces: Iterator[str], stops: tuple[str, ...]) -> None:
        self._pieces = pieces
        self._stops = stops
        self.found = ""
        self.rest = ""

    def __iter__(self) -> Iterator[str]:
        return self._read() if self._stops else self._pieces

    def _read(self) -> Iterator[str]:
        held = ""
        for piece in self._pieces:
            held += piece
            place, stop = self._first_stop(held)
            if stop and not self._may_begin_before(place, held):
                yield self._ended(held, place, stop)
                return
            certain = 0 if stop else len(held) - self._beginning_at_the_end(held)
            yield held[:certain]
            held = held[certain:]
        place, stop = self._first_stop(held)
        if stop:
            yield self._ended(held, place, stop)
        elif held:
            yield held

    def _ended(self, text: str, place: int, stop: str) -> str:
        self.found, self.rest = stop, text[place + len(stop) :]
        return text[:place]

    def _first_stop(self, text: str) -> tuple[int, str]:
        """Return the place of the first stop in `text` and the stop, "" without one."""
        return min(((place, stop) for stop in self._stops if (place := text.find(stop)) >= 0), default=(0, ""))

    def _may_begin_before(self, place: int, text: str) -> bool:
        """Whether a longer stop may have begun before `place` that is not complete yet."""
        return any(stop.startswith(text[begin:]) for begin in range(place) for stop in self._stops)

    def _beginning_at_the_end(self, text: str) -> int:
        """Count the characters at the end of `text` that may be the beginning of a stop."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        lengths = range(min(longest, len(text)), 0, -1)
        return next((n for n in lengths if any(stop.startswith(text[-n:]) for stop in self._stops)), 0)
