"""What a client called the parameters of a question, so that errors and the header name what it has sent.

Every API becomes a chat completion before its values are checked, and the runtime checks some of them. What they
complain of is a place in the chat completion, or a setting.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import UhdError
from uhd_edge.server.errors import ApiError, api_error, renamed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# A place within the conversation, in the text of an error.
_PLACE = re.compile(r"(?<![\w.])messages(\.\w+)+")

# What has lists in it, and the number of an item.
_LISTS = ("messages.", "input.", "instructions.", "images.", "tool_choice.")
_ITEM = re.compile(r"\.\d+(?=\.|$)")

# More steps than any place has that is called something; a name with many dots in it is no such place.
_MOST_STEPS = 24

# What would help, as `api_error` says it.
_ADVICE = re.compile(r"(?<=\bset )(mode|max_slices|max_frames)(?= to )")


@dataclass(frozen=True)
class SentNames:
    """The client's names by those of a chat completion, each a place such as `messages.0.content`.

    A name stands for all places within it too. Another API becomes a chat completion, whose places have their
    `names` there. That is tidied then, and `tidied` has what the places were called before.
    """

    names: dict[str, str] = field(default_factory=dict)
    tidied: dict[str, str] = field(default_factory=dict)

    def of(self, place: str) -> str:
        """Return what the client called a place."""
        return self.untidied(called(place, self.tidied))

    def untidied(self, place: str) -> str:
        """Return what the client called a place as it was before the chat completion was tidied."""
        return called(place, self.names)

    def told(self, error: ApiError) -> ApiError:
        """Return an error that names what the client has sent."""
        text = _PLACE.sub(lambda found: self.of(found[0]), str(error))
        text = _ADVICE.sub(lambda found: self.of(found[0]), text)
        if error.param is None:
            return ApiError(error.status, text, code=error.code)
        name = self.of(error.param)
        if error.param.partition(".")[0] != "messages" or text.startswith(("messages ", "messages:")):
            text = renamed(text, error.param, name)
        return ApiError(error.status, text, param=name, code=error.code)

    @contextmanager
    def spoken(self) -> Iterator[None]:
        """Raise the errors of the block in the client's words."""
        try:
            yield
        except UhdError as error:
            known = api_error(error)
            if known is None:
                raise
            raise self.told(known) from error


def in_any_list(place: str) -> str:
    """Return a place within a list as that in any of its items, `messages[].name` for `messages.0.name`."""
    return _ITEM.sub("[]", place) if place.startswith(_LISTS) else place


def called(place: str, names: Mapping[str, str]) -> str:
    """Return a place by the names of the longest place that it is in and that has one."""
    ends = [found.start() for found in islice(re.finditer(r"\.", place), _MOST_STEPS)]
    for end in (len(place), *reversed(ends)):
        if place[:end] in names:
            return names[place[:end]] + place[end:]
    return place
