"""The vision half of a checkpoint with random weights, which are made when they are read."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.export.checkpoint.tensors import vision_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from uhd_edge.export.checkpoint.tensors import Shape
    from uhd_edge.export.tower_config import TowerConfig


@dataclass(frozen=True)
class RandomConfig:
    """Stands in for a checkpoint's configuration: it has only the sizes of the tower."""

    tower: TowerConfig


@dataclass(frozen=True)
class RandomWeights:
    """Random tensors with the names and shapes of a checkpoint. The same name always gives the same numbers."""

    config: RandomConfig

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The names and shapes of all tensors of the vision tower, the compressor and the connector."""
        return vision_tensors(self.config.tower)

    @property
    def count(self) -> int:
        """The number of weights."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Make one float32 tensor: products keep the size of what they are given, norms are near one."""
        shape = self.shapes[name]
        noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
        if len(shape) > 1:
            return noise / np.float32(math.sqrt(math.prod(shape[1:])))
        return np.float32(0.02) * noise + np.float32("norm" in name and name.endswith("weight"))
