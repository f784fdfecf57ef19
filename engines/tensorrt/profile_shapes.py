"""The shapes an engine was built for, read from the engine itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uhd_edge.engines.errors import EngineError

if TYPE_CHECKING:
    from uhd_edge.engines.engine import Array

Range = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class ProfileShapes:
    """Smallest and largest shape of every input in one optimization profile of an engine."""

    index: int
    inputs: Mapping[str, Range]

    def holds(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether inputs of these shapes fit the profile."""
        return all(
            len(shapes[name]) == len(least)
            and all(low <= size <= high for low, size, high in zip(least, shapes[name], most, strict=True))
            for name, (least, most) in self.inputs.items()
        )

    @property
    def largest(self) -> dict[str, tuple[int, ...]]:
        """The largest shape of each input."""
        return {name: most for name, (_, most) in self.inputs.items()}

    def __str__(self) -> str:
        return ", ".join(f"{name} {list(least)} to {list(most)}" for name, (least, most) in self.inputs.items())


def read_profiles(engine: Any, inputs: Sequence[str]) -> list[ProfileShapes]:
    """Read the profiles of an open TensorRT engine, the smallest first.

    A shape that fits several profiles is then run with the one tuned closest to it.
    """
    profiles = [
        ProfileShapes(index, {name: _range(engine.get_tensor_profile_shape(name, index)) for name in inputs})
        for index in range(engine.num_optimization_profiles)
    ]
    return sorted(profiles, key=lambda profile: sum(math.prod(shape) for shape in profile.largest.values()))


def profile_for(profiles: Sequence[ProfileShapes], shapes: Mapping[str, tuple[int, ...]]) -> ProfileShapes:
    """Choose the first profile that `shapes` fit; raises `EngineError` listing the profiles if none does."""
    for profile in profiles:
        if profile.holds(shapes):
            return profile
    given = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    built = "; or ".join(str(profile) for profile in profiles)
    raise EngineError(f"built for {built}; it was given {given}; build it again, with a larger --largest-view")


def split_batch(profiles: Sequence[ProfileShapes], inputs: Mapping[str, Array]) -> list[Mapping[str, Array]]:
    """Split `inputs` along the batch, their first axis, into as few parts as the profiles allow.

    An engine may have been built for fewer slices than an image has. Parts differ in size by
    at most one, which keeps the number of shapes small. If even a batch of one is too large,
    `profile_for` raises the error.
    """
    shapes = {name: array.shape for name, array in inputs.items()}
    batch = min((shape[0] for shape in shapes.values() if shape), default=1)
    parts = 1
    while parts < batch and not _holds_batch(profiles, shapes, -(-batch // parts)):
        parts += 1
    bounds = [batch * part // parts for part in range(parts + 1)]
    if parts == 1:
        return [inputs]
    return [{name: array[start:end] for name, array in inputs.items()} for start, end in itertools.pairwise(bounds)]


def _holds_batch(profiles: Sequence[ProfileShapes], shapes: Mapping[str, tuple[int, ...]], batch: int) -> bool:
    part = {name: (batch, *shape[1:]) for name, shape in shapes.items()}
    return any(profile.holds(part) for profile in profiles)


def _range(shapes: Sequence[Sequence[int]]) -> Range:
    least, _, most = shapes
    return tuple(least), tuple(most)
