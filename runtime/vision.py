"""An image becomes embeddings: slices, patches, encoder engine, connector engine."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.engines.selection import EngineName, check_engine
from uhd_edge.runtime.bundle import Bundle, Mode
from uhd_edge.runtime.engine_choice import PrecisionChoice
from uhd_edge.runtime.errors import EngineError
from uhd_edge.runtime.image import ImageInput, load_image
from uhd_edge.runtime.settings import MOST_THREADS, require_whole
from uhd_edge.runtime.slicing import plan_slices, plan_views, slice_image
from uhd_edge.runtime.stages import timed
from uhd_edge.runtime.tower_opening import TowerOpener
from uhd_edge.runtime.towers import Towers, encode_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray
    from PIL import Image

    from uhd_edge.runtime.bundle import Preprocessing
    from uhd_edge.runtime.slicing import SlicedImage, View

STAGES = ("decode", "slice", "open", "patches", "encoder", "connector")

# Patches that go through the encoder at once. A real-size tower needs about 0.17 GB for every
# 1024 of them, and on a CPU two 448 x 448 views at a time are as fast as nine.
BATCH_PATCHES = 2560


@dataclass(frozen=True)
class EncodedView:
    """Size of one view in patches, and how many embeddings it became."""

    rows: int
    columns: int
    tokens: int


@dataclass(frozen=True, eq=False)
class Encoded:
    """What the language model gets to see of one image; ask it as often as you like.

    `embeddings` is float32 [n, d_llm], C-contiguous: the thumbnail's, then each slice's,
    slices row by row. `grid` is (rows, columns) of slices, (0, 0) when unsliced. `timings`
    are milliseconds per stage: decode, slice, open (0 when the mode's engines were open
    already), patches, encoder, connector.
    """

    embeddings: NDArray[np.float32]
    grid: tuple[int, int]
    views: tuple[EncodedView, ...]
    mode: Mode
    timings: Mapping[str, float]


class VisionEncoder:
    """Holds the engines of a bundle's vision graphs open; close it, or use it with `with`.

    `bundle` is an open bundle or its folder, without it the built-in uhd-tiny; without `mode` and `max_slices` the
    bundle's own. `precision` "auto" is fp32 when the bundle has it. `threads` are the CPU
    cores of one run, all the usable ones without it. Engines are opened when a mode is
    first used and stay open; modes share a connector that is the same file. `notes` says,
    a line each, why something better was not used.

    Several threads may encode with it at once: engines are opened once, and while one
    thread opens them the others wait. ONNX Runtime then runs side by side for all of them,
    TensorRT for one after the other.

    Raises `BundleError` for a bundle that cannot be opened, `EngineUnavailableError` for an
    engine this machine, or a mode or precision the bundle does not have, `ImageError` for
    `max_slices` below 1 and `OptionError` for senseless `threads`.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path | None = None,
        *,
        mode: Mode | None = None,
        max_slices: int | None = None,
        engine: EngineName = "auto",
        precision: PrecisionChoice = "auto",
        threads: int | None = None,
    ) -> None:
        self.bundle = Bundle.of(bundle)
        self.mode: Mode = self.bundle.manifest.default_mode if mode is None else mode
        self.max_slices = self.bundle.manifest.preprocessing.max_slices if max_slices is None else max_slices
        self.notes: list[str] = []
        check_engine(engine)
        threads = None if threads is None else require_whole("threads", threads, 1, MOST_THREADS)
        self._opener = TowerOpener(self.bundle, engine=engine, precision=precision, threads=threads, notes=self.notes)
        self._opener.check(self.mode)
        plan_slices(1, 1, self.bundle.manifest.preprocessing, mode=self.mode, max_slices=self.max_slices)

    def encode(self, image: ImageInput, *, mode: Mode | None = None, max_slices: int | None = None) -> Encoded:
        """Encode one image; `mode` and `max_slices` count for this image alone.

        Raises `ImageError` for an image that cannot be read or is too thin, and
        `EngineError` when an engine cannot be opened, fails or returns NaN or Inf.
        """
        mode = self.mode if mode is None else mode
        max_slices = self.max_slices if max_slices is None else max_slices
        preprocessing = self.bundle.manifest.preprocessing
        timings = dict.fromkeys(STAGES, 0.0)
        with timed(timings, "decode"):
            rgb = load_image(image)
        with timed(timings, "slice"):
            sliced = cut_views(rgb, preprocessing, mode=mode, max_slices=max_slices)
        towers = self._towers_in_time(mode, timings)
        try:
            embeddings = encode_views(towers, sliced.views, timings)
        except EngineError as error:
            with timed(timings, "open"):
                towers = self._opener.instead_of(towers, error)
            embeddings = encode_views(towers, sliced.views, timings)
        views = tuple(
            EncodedView(view.rows, view.columns, len(of_view))
            for view, of_view in zip(sliced.views, embeddings, strict=True)
        )
        return Encoded(np.concatenate(embeddings), sliced.grid, views, mode, timings)

    def close(self) -> None:
        """Close every engine; the encoder cannot be used again."""
        self._opener.close()

    def __enter__(self) -> VisionEncoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def towers(self, mode: Mode) -> Towers:
        """Open the engines of `mode`, or return those that are open; they are closed with the encoder.

        Raises `EngineError` when they cannot be opened or the encoder is closed.
        """
        return self._opener.towers(mode)

    def _towers_in_time(self, mode: Mode, timings: dict[str, float]) -> Towers:
        if self._opener.is_open(mode):
            return self.towers(mode)
        with timed(timings, "open"):
            return self.towers(mode)


def cut_views(image: Image.Image, preprocessing: Preprocessing, *, mode: Mode, max_slices: int) -> SlicedImage:
    """Cut an RGB image into its views, as `slice_image` does; raises `ImageError` for one that is too thin."""
    plan_views(*image.size, preprocessing, mode=mode, max_slices=max_slices)
    return slice_image(image, preprocessing, mode=mode, max_slices=max_slices)


def view_names(count: int) -> list[str]:
    """What the views of an image are called in messages, in their order."""
    return ["the thumbnail", *(f"slice {number} of {count - 1}" for number in range(1, count))]


def encode_views(towers: Towers, views: tuple[View, ...], timings: dict[str, float]) -> list[NDArray[np.float32]]:
    """Embeddings [tokens, d_llm] of each view, in the order of the views.

    Adds the milliseconds of its stages to `timings`; raises `EngineError` as `encode_batch` does.
    """
    names = view_names(len(views))
    embeddings: dict[int, NDArray[np.float32]] = {}
    for batch in _batches(views):
        encoded = encode_batch(towers, [views[index] for index in batch], [names[index] for index in batch], timings)
        embeddings.update(zip(batch, encoded, strict=True))
    return [embeddings[index] for index in range(len(views))]


def _batches(views: tuple[View, ...]) -> Iterator[list[int]]:
    """Group the indices of views that go through the engines together: equal patch counts, bounded memory."""
    by_count: dict[int, list[int]] = defaultdict(list)
    for index, view in enumerate(views):
        by_count[view.rows * view.columns].append(index)
    for count, indices in by_count.items():
        size = max(1, BATCH_PATCHES // count)
        for start in range(0, len(indices), size):
            yield indices[start : start + size]
