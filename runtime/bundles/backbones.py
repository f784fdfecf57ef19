"""The vision towers that encoders are made of: how each tells its patches where they are.

Both are transformers of the same sizes, and compressors, connectors and views are the same around
them. They differ in their positions alone:

- `siglip2`: a learned table, of which every patch takes the nearest entry. A position id is its index.
- `moonvit` (moonshotai/MoonViT-SO-400M, arXiv 2504.07491): a learned table that is stretched over the
  view's own grid, and queries and keys that turn by their row and column in every attention. A position
  id is row * `PLACES` + column.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

BackboneName: TypeAlias = Literal["siglip2", "moonvit"]
BACKBONE_NAMES: tuple[BackboneName, ...] = get_args(BackboneName)

# Most rows and columns of a view: those for which the class `Rope2DPosEmb` of MoonViT has angles.
PLACES: Final = 512
# The side of the position table that MoonViT was trained with.
MOONVIT_TABLE: Final = 64
# What the norms of each add to a variance.
EPSILONS: Final[Mapping[BackboneName, float]] = MappingProxyType({"siglip2": 1e-6, "moonvit": 1e-5})
