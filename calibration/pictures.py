"""The pictures used for calibration, sliced into views as the runtime does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.runtime.errors import CalibrationError
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.vision.patches import encoder_inputs, make_patches, position_ids
from uhd_edge.runtime.vision.slicing import plan_views, slice_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from uhd_edge.runtime.bundles.manifest import Manifest, Vision
    from uhd_edge.runtime.modes import Mode

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})

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
    """Picture files, cut into at most `max_slices` slices each (default: the bundle's maximum)."""

    files: tuple[Path, ...]
    max_slices: int | None

    def views(self, manifest: Manifest, mode: Mode) -> Iterator[ViewInput]:
        """Slice each picture into a thumbnail and slices as the runtime does, and yield one view at a time.

        Raises `ImageError` for a picture that cannot be read or is too narrow.
        """
        for file in self.files:
            image = load_image(file)
            plan = plan_views(*image.size, manifest.preprocessing, mode=mode, max_slices=self.max_slices)
            for index, view in enumerate(slice_image(image, plan).views):
                patches = make_patches(view, manifest.preprocessing, manifest.vision, mode=mode)
                positions = position_ids(view.rows, view.columns, manifest.vision, mode=mode)
                yield ViewInput(f"{file}, view {index}, {mode}", mode, patches[None], positions[None])


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
            f"give files or folders of them ({', '.join(sorted(SUFFIXES))})"
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
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
