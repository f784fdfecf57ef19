"""Which shapes an engine was built for, read from the engine itself."""

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
    """Smallest and largest shape of every input in one of an engine's profiles."""

    index: int
    inputs: Mapping[str, Range]

    def holds(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether inputs of `shapes` can be run with it."""
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
    """Read the profiles of an open TensorRT engine, the tightest first.

    A shape that several profiles hold is then run by the one tuned closest to it.
    """
    profiles = [
        ProfileShapes(index, {name: _range(engine.get_tensor_profile_shape(name, index)) for name in inputs})
        for index in range(engine.num_optimization_profiles)
    ]
    return sorted(profiles, key=lambda profile: sum(math.prod(shape) for shape in profile.largest.values()))


def profile_for(profiles: Sequence[ProfileShapes], shapes: Mapping[str, tuple[int, ...]]) -> ProfileShapes:
    """Choose the first profile that holds `shapes`; raises `EngineError` saying what there is."""
    for profile in profiles:
        if profile.holds(shapes):
            return profile
    given = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    built = "; or ".join(str(profile) for profile in profiles)
    raise EngineError(f"built for {built}; it was given {given}; build it again for this bundle")


def split_batch(profiles: Sequence[ProfileShapes], inputs: Mapping[str, Array]) -> list[Mapping[str, Array]]:
    """Cut `inputs` along the batch, their first axis, into as few parts as the profiles allow.

    An engine may have been built for fewer slices than an image has now. Parts differ in size
    by one at most, so that there are few shapes; where even a single one is too large, it is
    for `profile_for` to say.
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
