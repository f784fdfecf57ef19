"""What is known of the right answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Reference:
    """The right answers of a question, at least one.

    `choices` are the texts of a multiple-choice question by their letters, A to Z; empty for
    other questions. `category` is the group that the question belongs to, where there is one.
    """

    answers: tuple[str, ...]
    choices: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    category: str | None = None
