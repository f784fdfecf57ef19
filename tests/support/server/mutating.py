"""Bodies of requests with something wrong in them, the same ones each time."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

VALUES: list[Any] = [
    *(None, 0, -1, 1.5, 10**30, "", "x", [], {}, [{}], [None], True),
    *({"url": 5}, {"type": "image"}),
]
# What no other program than Python would read, and the share of values that are such.
UNREADABLE: list[Any] = ["\ud800", {"\ud83d": "x"}, math.nan, -math.inf, 10**4000]
SHARE = 0.06


def mutated(body: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A copy of a body that has one to three values replaced or taken out, at any depth."""
    changed = copy.deepcopy(body)
    for _ in range(dice.randint(1, 3)):
        _mutate(changed, dice)
    return changed


def _mutate(value: Any, dice: random.Random) -> None:
    while True:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        if not keys:
            return
        key = dice.choice(list(keys))
        inner = value[key]
        if isinstance(inner, dict | list) and inner and dice.random() < 0.7:
            value = inner
            continue
        if dice.random() < 0.2 and isinstance(value, dict):
            del value[key]
        else:
            value[key] = copy.deepcopy(dice.choice(UNREADABLE if dice.random() < SHARE else VALUES))
        return
