"""An RGB image becomes a thumbnail and, when it is large, slices on a grid.

Sizes, grids and pixels equal those of transformers' `MiniCPMV4_6ImageProcessorPil` (the
slicing of LLaVA-UHD), down to the rounding of each division: a view that is one block
larger or smaller changes every token that follows it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.errors import ImageError, OptionError
from uhd_edge.runtime.validation import whole_number

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from uhd_edge.runtime.bundles.manifest import Preprocessing
    from uhd_edge.runtime.modes import Mode

# A view has about (scale_resolution / patch_size)**2 patches, a thread-thin one many more, and
# attention grows with their square. 4096 is an aspect ratio of about 1000 in the real model.
LARGEST_VIEW = 4096

# Side, in patches, of the squares that the image processor makes views of. They are fixed in
# `MiniCPMV4_6ImageProcessorPil`; a tower that merges larger squares is refused in `patches.py`.
BLOCK_SIDES: dict[Mode, int] = {"16x": 4, "4x": 2}


@dataclass(frozen=True, eq=False)
class View:
    """One picture the encoder looks at: `pixels` uint8 [H, W, 3], `rows` x `columns` patches."""

    pixels: NDArray[np.uint8]
    rows: int
    columns: int


@dataclass(frozen=True, eq=False)
class SlicedImage:
    """The views of one image; `grid` is (rows, columns) of slices, (0, 0) when unsliced."""

    thumbnail: View
    slices: tuple[View, ...]
    grid: tuple[int, int]

    @property
    def views(self) -> tuple[View, ...]:
        """The thumbnail, then the slices row by row."""
        return (self.thumbnail, *self.slices)


@dataclass(frozen=True)
class SlicePlan:
    """How an image is cut into views, known from its size alone.

    The image has `image_size` (width, height) pixels and may be cut into `max_slices`
    slices. `thumbnail` and `slice_size` are (height, width) in pixels, multiples of
    `patch_size`; all slices have one size, (0, 0) without slices. `grid` is (rows, columns).
    `resample` is Pillow's filter. `is_encoded` says that the image has been encoded already, so
    that it can be cut in no other way.
    """

    image_size: tuple[int, int]
    mode: Mode
    max_slices: int
    thumbnail: tuple[int, int]
    slice_size: tuple[int, int]
    grid: tuple[int, int]
    patch_size: int
    resample: int
    is_encoded: bool = False

    @property
    def refined(self) -> tuple[int, int]:
        """(height, width) in pixels of the picture that is cut into slices, (0, 0) without slices."""
        return self.grid[0] * self.slice_size[0], self.grid[1] * self.slice_size[1]

    @property
    def views(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) in patches of every view, thumbnail first, then the slices row by row."""
        count = self.grid[0] * self.grid[1]
        return (self._in_patches(self.thumbnail), *[self._in_patches(self.slice_size)] * count)

    def _in_patches(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[0] // self.patch_size, size[1] // self.patch_size


def plan_slices(
    width: int, height: int, preprocessing: Preprocessing, *, mode: Mode, max_slices: int | None = None
) -> SlicePlan:
    """Plan how to cut an image of `width` x `height` pixels, both at least 1.

    At most `max_slices` slices are cut: 1 means the thumbnail alone, None the bundle's own
    number. A bundle that encodes images whole makes one view, of at most as many pixels as so
    many slices have, and never more than its own number of them. Raises `OptionError` unless
    `max_slices` is a whole number of at least 1. Slices follow `MiniCPMV4_6ImageProcessorPil._preprocess`.
    """
    limit = preprocessing.max_slices if max_slices is None else _most_slices(max_slices)
    block = preprocessing.patch_size * BLOCK_SIDES[mode]
    scale = preprocessing.scale_resolution
    if preprocessing.encoding == "global":
        whole = _whole_size(height, width, min(limit, preprocessing.max_slices) * scale * scale, block)
        sizes = (preprocessing.patch_size, preprocessing.resample)
        return SlicePlan((width, height), mode, limit, whole, (0, 0), (0, 0), *sizes)
    grid = _best_grid(width, height, scale, limit) if preprocessing.slicing else None
    thumbnail = _view_size(height, width, scale, block, enlarge=grid is None)
    slice_size = (0, 0)
    if grid is not None:
        rows, columns = grid
        slice_height = _nearest_multiple(height, rows) / rows
        slice_width = _nearest_multiple(width, columns) / columns
        slice_size = _view_size(slice_height, slice_width, scale, block, enlarge=True)
    return SlicePlan(
        (width, height),
        mode,
        limit,
        thumbnail,
        slice_size,
        grid or (0, 0),
        preprocessing.patch_size,
        preprocessing.resample,
    )


def most_useful_slices(width: int, height: int, preprocessing: Preprocessing) -> int:
    """From which `max_slices` on an image of this size is cut no other way."""
    return math.ceil(width * height / preprocessing.scale_resolution**2) + 1


def plan_views(
    width: int, height: int, preprocessing: Preprocessing, *, mode: Mode, max_slices: int | None = None
) -> SlicePlan:
    """Plan as `plan_slices` does; raises `ImageError` for a thin image with a view over `largest_view`."""
    plan = plan_slices(width, height, preprocessing, mode=mode, max_slices=max_slices)
    rows, columns = max(plan.views, key=lambda view: view[0] * view[1])
    limit = largest_view(preprocessing)
    if rows * columns > limit:
        raise ImageError(
            f"an image of {width} x {height} pixels is too thin: it would be a view of "
            f"{rows} x {columns} patches, over the limit of {limit}; crop it or pad it"
        )
    return plan


def largest_view(preprocessing: Preprocessing) -> int:
    """Most patches that a view may have; an image that would have more is refused."""
    ordinary = (preprocessing.scale_resolution // preprocessing.patch_size) ** 2
    whole = preprocessing.max_slices if preprocessing.encoding == "global" else 1
    return max(LARGEST_VIEW, (2 * whole + 2) * ordinary)


def usual_view(preprocessing: Preprocessing, mode: Mode) -> int:
    """Patches of a square view."""
    block = preprocessing.patch_size * BLOCK_SIDES[mode]
    side = max(round(preprocessing.scale_resolution / block), 1) * BLOCK_SIDES[mode]
    return side**2


def slice_image(image: Image.Image, plan: SlicePlan) -> SlicedImage:
    """Resize and cut an RGB image of the plan's `image_size`.

    Pillow hands out the pixels of each of the two resized pictures as a copy; the slices
    are windows into the second one, not copies.
    """
    (thumbnail_rows, thumbnail_columns), *slice_sizes = plan.views
    if not slice_sizes:
        pixels = _resized(image, plan.thumbnail, plan.resample)
        return SlicedImage(View(pixels, thumbnail_rows, thumbnail_columns), (), plan.grid)
    pixels, refined = _both_resized(image, plan)
    height, width = plan.slice_size
    slices = tuple(
        View(refined[top : top + height, left : left + width], *slice_sizes[0])
        for top in range(0, refined.shape[0], height)
        for left in range(0, refined.shape[1], width)
    )
    return SlicedImage(View(pixels, thumbnail_rows, thumbnail_columns), slices, plan.grid)


def _most_slices(max_slices: object) -> int:
    whole = whole_number(max_slices)
    if whole is None or whole < 1:
        message = f"max_slices is {max_slices!r}; it must be 1 (the thumbnail alone) or a higher whole number"
        raise OptionError(message, parameter="max_slices")
    return whole


def _best_grid(width: int, height: int, scale: int, max_slices: int) -> tuple[int, int] | None:
    """(rows, columns) whose shape is nearest to the image's, or None when one view is enough."""
    wanted = min(math.ceil(width * height / (scale * scale)), max_slices)
    if wanted <= 1:
        return None
    shape = math.log(width / height)
    best, least_error = (1, 1), math.inf
    for count in (wanted - 1, wanted, wanted + 1):
        if count == 1 or count > max_slices:
            continue
        for rows in (rows for rows in range(1, count + 1) if count % rows == 0):
            columns = count // rows
            error = abs(shape - math.log(columns / rows))
            if error < least_error or (error == least_error and rows > best[0]):
                best, least_error = (rows, columns), error
    return best


def _whole_size(height: int, width: int, area: int, block: int) -> tuple[int, int]:
    """(height, width) of a picture as one view: its own, or shrunk to `area` pixels, in whole blocks."""
    shrink = min(1.0, math.sqrt(area / (height * width)))
    return _nearest_multiple(height * shrink, block), _nearest_multiple(width * shrink, block)


def _view_size(height: float, width: float, scale: int, block: int, *, enlarge: bool) -> tuple[int, int]:
    """(height, width) of a view: about scale * scale pixels of the same shape, in whole blocks."""
    if height * width > scale * scale or enlarge:
        shape = width / height
        height = int(scale / math.sqrt(shape))
        width = int(height * shape)
    return _nearest_multiple(height, block), _nearest_multiple(width, block)


def _nearest_multiple(length: float, step: int) -> int:
    return max(round(length / step) * step, step)


def _both_resized(image: Image.Image, plan: SlicePlan) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Make thumbnail and refined picture in two threads: Pillow releases the interpreter lock while it resizes."""
    from concurrent.futures import ThreadPoolExecutor

    image.load()  # a file that is open but not yet read must not be read by two threads
    with ThreadPoolExecutor(max_workers=1) as second:
        thumbnail = second.submit(_resized, image, plan.thumbnail, plan.resample)
        refined = _resized(image, plan.refined, plan.resample)
        return thumbnail.result(), refined


def _resized(image: Image.Image, size: tuple[int, int], resample: int) -> NDArray[np.uint8]:
    height, width = size
    if image.size != (width, height):  # Pillow would copy a picture that has its size already
        image = image.resize((width, height), resample=resample)
    return np.asarray(image, dtype=np.uint8)
