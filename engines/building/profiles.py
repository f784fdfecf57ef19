"""Shape profiles: which shapes an engine must accept, derived from how images are sliced.

TensorRT compiles an engine for a box of shapes (smallest, usual, largest) and reserves memory
for the largest. The shapes are batches of B views of N patches, and both follow from slicing:

N. Every view (thumbnail or slice) is scaled to an area of `scale` * `scale` pixels. With the
   aspect ratio a of its image, it measures h = int(scale / sqrt(a)) by w = int(h * a), and each
   side is then rounded to whole blocks, at least one. So h may be any integer, and for a given
   h the width lies between int(h * scale^2 / (h + 1)^2) and scale^2 / h. The heights of one row
   of blocks, of two rows and so on give every possible N. Views of more than `largest_view`
   patches are rejected before encoding, or run on another engine where one was built for less.

B. One image has one thumbnail and at most `max_slices` slices. Views of equal N are encoded in
   one batch, of at most `batch_patches` patches.

B and N are never both large, but a box would reserve memory as if they were. So a new box
starts where the current one would exceed twice `batch_patches`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class ShapeRange:
    """Smallest, usual and largest shape of one input."""

    smallest: Shape
    usual: Shape
    largest: Shape


Profile: TypeAlias = dict[str, ShapeRange]


@dataclass(frozen=True)
class Slicing:
    """The slicing parameters that determine the shapes.

    `scale` is the side of a square view in pixels, `patch` the side of a patch in pixels. The
    sides of a view are multiples of `block` patches (4 in 16x, 2 in 4x). `max_slices` counts
    slices (1: the thumbnail only). `largest_view` and `batch_patches` are the runtime's
    limits, in patches.
    """

    scale: int
    patch: int
    block: int
    max_slices: int
    largest_view: int
    batch_patches: int

    @property
    def usual_count(self) -> int:
        """Number of patches of a square view."""
        return _blocks(self.scale, self) ** 2 * self.block**2

    def largest_batch(self, count: int) -> int:
        """Return the largest number of views of `count` patches that are encoded in one batch."""
        views = 1 if self.max_slices == 1 else self.max_slices + 1
        return min(views, max(1, self.batch_patches // count))


@dataclass(frozen=True)
class Box:
    """All batches of 1 to `batch` views of `fewest` to `most` patches; `usual` is (views, patches)."""

    batch: int
    fewest: int
    most: int
    usual: tuple[int, int]


def patch_counts(slicing: Slicing) -> list[int]:
    """List every number of patches a view can have, in ascending order."""
    per_block, side, area = slicing.block**2, slicing.block * slicing.patch, slicing.scale**2
    most_blocks = slicing.largest_view // per_block
    counts: set[int] = set()
    for rows in range(1, most_blocks + 1):
        # The heights that round to `rows`; the lower a view, the wider it is.
        lowest = max(1, int((rows - 0.5) * side)) if rows > 1 else 1
        highest = int((rows + 0.5) * side) + 1
        # One pixel of slack on both sides, since the runtime computes in floating point.
        narrowest = _blocks(highest * area // (highest + 1) ** 2 - 1, slicing)
        widest = min(_blocks(area // lowest + 1, slicing), most_blocks // rows)
        counts.update(rows * columns * per_block for columns in range(narrowest, widest + 1))
    return sorted(counts)


def boxes(slicing: Slicing) -> list[Box]:
    """Cover every batch that slicing can produce, smallest views first."""
    counts = patch_counts(slicing)
    found: list[Box] = []
    start = 0
    while start < len(counts):
        batch = slicing.largest_batch(counts[start])
        limit = max(2 * slicing.batch_patches // batch, slicing.largest_view if batch == 1 else 0)
        end = start
        while end + 1 < len(counts) and counts[end + 1] <= limit:
            end += 1
        inside = counts[start : end + 1]
        usual = min(inside, key=lambda count: abs(count - slicing.usual_count))
        found.append(Box(batch, inside[0], inside[-1], (min(batch, slicing.largest_batch(usual)), usual)))
        start = end + 1
    # An image one pixel high can round down to zero, which becomes a single block.
    first = found[0]
    return [Box(first.batch, slicing.block**2, first.most, first.usual), *found[1:]]


def encoder_profiles(
    slicing: Slicing, *, patch_values: int, more: Mapping[str, Callable[[int], int]] = MappingProxyType({})
) -> tuple[Profile, ...]:
    """Compute the profiles of an encoder: `patches` [B, N, patch_values] and `position_ids` [B, N].

    `more` names further inputs [B, size], with the function that gives the size for N patches.
    """

    def profile(box: Box) -> Profile:
        corners = ((1, box.fewest), box.usual, (box.batch, box.most))
        further = {name: ShapeRange(*((batch, size(count)) for batch, count in corners)) for name, size in more.items()}
        return {
            "patches": ShapeRange(*((*corner, patch_values) for corner in corners)),
            "position_ids": ShapeRange(*corners),
            **further,
        }

    return tuple(profile(box) for box in boxes(slicing))


def connector_profile(slicings: dict[Slicing, int], *, width: int) -> tuple[Profile, ...]:
    """Compute the one profile of a connector that serves several encoders: `features` [B, M, width].

    `slicings` maps each slicing to the number of patches its encoder merges into one feature
    (4 in 16x, 1 in 4x); the first slicing gives the usual shape. The connector is a small part
    of the work, so one box covers everything.
    """
    found = [(box, patches) for slicing, patches in slicings.items() for box in boxes(slicing)]
    views, patches_of_usual = next(
        box.usual for box in boxes(next(iter(slicings))) if box.most >= next(iter(slicings)).usual_count
    )
    first = next(iter(slicings.values()))
    return (
        {
            "features": ShapeRange(
                (1, min(box.fewest // patches for box, patches in found), width),
                (views, patches_of_usual // first, width),
                (max(box.batch for box, _ in found), max(box.most // patches for box, patches in found), width),
            )
        },
    )


def widen_profiles(profiles: tuple[Profile, ...], more: tuple[Profile, ...]) -> tuple[Profile, ...]:
    """Widen one profile so that it accepts what the one in `more` does; several, or of other inputs, stay."""
    if len(profiles) != 1 or len(more) != 1 or profiles[0].keys() != more[0].keys():
        return profiles
    (profile,), (other,) = profiles, more
    return (
        {
            name: ShapeRange(
                tuple(map(min, shapes.smallest, other[name].smallest)),
                shapes.usual,
                tuple(map(max, shapes.largest, other[name].largest)),
            )
            for name, shapes in profile.items()
        },
    )


def _blocks(length: int, slicing: Slicing) -> int:
    """Convert a length in pixels to blocks, rounded to the nearest as slicing does, at least one."""
    return max(round(length / (slicing.block * slicing.patch)), 1)
