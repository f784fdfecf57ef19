"""The pictures used for calibration, sliced into views as the runtime does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.runtime.errors import CalibrationError
from uhd_edge.runtime.images.loading import PICTURE_SUFFIXES, load_image
from uhd_edge.runtime.vision.patches import encoder_inputs, make_patches, position_ids
from uhd_edge.runtime.vision.slicing import plan_views, slice_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from uhd_edge.runtime.bundles.manifest import Manifest, Vision
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.vision.slicing import SlicePlan

HELD_OUT_SHARE = 4  # one picture in this many is held out to measure on
MOST_HELD_OUT = 16


@dataclass(frozen=True, eq=False)
class ViewInput:
    """The input of the encoder for one view: `patches` [1, N, 3*p*p] and `position_ids` [1, N]."""

    name: str
    mode: Mode
    patches: NDArray[np.float32]
    position_ids: NDArray[np.int64]

    def inputs(self, vision: Vision, *, both_modes: bool) -> dict[str, NDArray[Any]]:
        """Name the inputs of the encoder (see `encoder_inputs`)."""
        return encoder_inputs(self.patches, self.position_ids, vision, mode=self.mode, both_modes=both_modes)


@dataclass(frozen=True)
class Pictures:
    """Picture files, cut into at most `max_slices` slices each (default: the bundle's maximum).

    In each mode at most `most_views` views are used (default: all), taken from all pictures.
    """

    files: tuple[Path, ...]
    max_slices: int | None
    most_views: int | None = None

    def count(self, manifest: Manifest, mode: Mode) -> int:
        """Count the views of `mode` that are used."""
        return sum(map(len, self._chosen(manifest, mode)))

    def views(self, manifest: Manifest, mode: Mode) -> Iterator[ViewInput]:
        """Slice each picture into a thumbnail and slices as the runtime does, and yield one view at a time.

        Raises `ImageError` for a picture that cannot be read or is too narrow.
        """
        for file, chosen in zip(self.files, self._chosen(manifest, mode), strict=True):
            if not chosen:
                continue
            image = load_image(file)
            plan = plan_views(*image.size, manifest.preprocessing, mode=mode, max_slices=self.max_slices)
            yield from views_of(image, plan, manifest, mode=mode, name=str(file), chosen=chosen)

    def _chosen(self, manifest: Manifest, mode: Mode) -> list[list[int]]:
        """For each picture, the indices of the views that are used."""
        plans = (
            plan_views(*load_image(file).size, manifest.preprocessing, mode=mode, max_slices=self.max_slices)
            for file in self.files
        )
        counts = [len(plan.views) for plan in plans]
        return choose_views(counts, sum(counts) if self.most_views is None else self.most_views)


def views_of(
    image: Image.Image,
    plan: SlicePlan,
    manifest: Manifest,
    *,
    mode: Mode,
    name: str,
    chosen: Sequence[int] | None = None,
) -> Iterator[ViewInput]:
    """Slice an RGB image as `plan` says, and yield the views with the indices `chosen` (default: all)."""
    views = slice_image(image, plan).views
    for index in range(len(views)) if chosen is None else chosen:
        view = views[index]
        patches = make_patches(view, manifest.preprocessing, manifest.vision, mode=mode)
        positions = position_ids(view.rows, view.columns, manifest.vision, mode=mode)
        yield ViewInput(f"{name}, view {index}, {mode}", mode, patches[None], positions[None])


def choose_views(counts: Sequence[int], most: int) -> list[list[int]]:
    """Choose at most `most` views of pictures that have `counts` views: as many of each picture as of any other.

    The first of a picture is its thumbnail; slices are spread over the picture. With fewer
    views than pictures, the pictures are spread as well.
    """
    quotas = [0] * len(counts)
    while (rest := most - sum(quotas)) > 0:
        larger = [index for index, count in enumerate(counts) if quotas[index] < count]
        if not larger:
            break
        for place in spread(len(larger), min(rest, len(larger))):
            quotas[larger[place]] += 1
    return [
        [0, *(1 + place for place in spread(count - 1, quota - 1))] if quota else []
        for count, quota in zip(counts, quotas, strict=True)
    ]


def spread(total: int, count: int) -> list[int]:
    """Choose `count` of the indices below `total`, evenly."""
    return [(2 * index + 1) * total // (2 * count) for index in range(count)]


def find_pictures(sources: Sequence[str | Path]) -> list[Path]:
    """List the picture files in `sources`, including those below folders; each once, folders sorted by name.

    Raises `CalibrationError` if a source does not exist or no picture is found.
    """
    found: list[Path] = []
    for source in map(Path, sources):
        path = source.expanduser()
        if not path.exists():
            raise CalibrationError(f"{source}: no such picture or folder")
        found += _below(path) if path.is_dir() else [path]
    if not found:
        named = ", ".join(map(str, sources)) or "nothing"
        raise CalibrationError(
            f"no pictures in {named}: INT8 ranges are measured on pictures like those the device will see; "
            f"give files or folders of them ({', '.join(sorted(PICTURE_SUFFIXES))})"
        )
    return list(dict.fromkeys(found))


def split_pictures(pictures: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Split into pictures to calibrate with and pictures to measure on; a single picture serves for both."""
    if len(pictures) == 1:
        return list(pictures), list(pictures)
    count = min(max(1, len(pictures) // HELD_OUT_SHARE), MOST_HELD_OUT)
    # Spread over the whole list, since neighbours in a folder tend to be similar.
    places = {round((index + 0.5) * len(pictures) / count - 0.5) for index in range(count)}
    held_out = [picture for index, picture in enumerate(pictures) if index in places]
    return [picture for index, picture in enumerate(pictures) if index not in places], held_out


def _below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
