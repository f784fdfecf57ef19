"""An image becomes embeddings: slices, patches, encoder engine, connector engine.

Pixels and embeddings are copied as few times as the libraries allow:

- image: what Pillow decodes; an RGB PIL image is used as it is, an array is copied into one
- views: Pillow hands out each of the two resized pictures as a copy; slices are windows
- patches: every pixel goes once from its window to its place in the batch, as float32
- engine input: the batch itself; engine output: what the engine returns
- embeddings: those of all batches are joined, the only copy
- llama.cpp: they are joined once more, with the text's, into what its batch points at
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.engines.selection import EngineName, check_engine
from uhd_edge.runtime.answer import EncodedView
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import EngineError
from uhd_edge.runtime.images.loading import ImageInput, load_image
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.release import warn_renamed
from uhd_edge.runtime.timing import timed
from uhd_edge.runtime.validation import MOST_THREADS, require_number, require_whole
from uhd_edge.runtime.vision.encoding import encode_views
from uhd_edge.runtime.vision.engine_choice import PrecisionChoice
from uhd_edge.runtime.vision.opening import TowerOpener
from uhd_edge.runtime.vision.slicing import plan_slices, plan_views, slice_image
from uhd_edge.runtime.vision.view_cache import ViewCache
from uhd_edge.runtime.vision.view_reuse import CACHE_STAGE, encode_reusing
from uhd_edge.runtime.vision.vision_engines import Towers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray
    from PIL import Image

    from uhd_edge.runtime.vision.slicing import SlicedImage, SlicePlan

STAGES: tuple[str, ...] = ("decode", "slice", "open", CACHE_STAGE, "patches", "encoder", "connector")

# Embeddings of 200 views of the real model in 16x (0.26 MB each) or 60 in 4x: some twenty camera frames.
CACHE_BYTES = 64 * 2**20
MOST_CACHE_BYTES = 2**40


@dataclass(frozen=True, eq=False)
class Encoded:
    """What the language model gets to see of one image; ask it as often as you like.

    `embeddings` is float32 [n, d_llm], C-contiguous: the thumbnail's, then each slice's,
    slices row by row, and the caller's own: writing into it changes nothing that is kept.
    `grid` is (rows, columns) of slices, (0, 0) when unsliced. `timings_ms` are milliseconds per
    stage: decode, slice, open (0 when the mode's engines were open already), cache (looking
    for views that were seen before), patches, encoder, connector. Of the views, `encoded` went
    through the engines for this image and `reused` did not.
    """

    embeddings: NDArray[np.float32]
    grid: tuple[int, int]
    views: tuple[EncodedView, ...]
    mode: Mode
    timings_ms: Mapping[str, float]
    reused: int = 0
    encoded: int = 0

    @property
    def timings(self) -> Mapping[str, float]:
        """The former name of `timings_ms`."""
        warn_renamed("Encoded.timings", "timings_ms")
        return self.timings_ms


class VisionEncoder:
    """Holds the engines of a bundle's vision graphs open; close it, or use it with `with`.

    `bundle` is an open bundle or its folder, without it the built-in uhd-tiny; without `mode` and `max_slices` the
    bundle's own. `precision` "auto" is fp32 when the bundle has it. `threads` are the CPU
    cores of one run, all the usable ones without it. Engines are opened when a mode is
    first used and stay open; modes share a connector that is the same file. `notes` says,
    a line each, why something better was not used.

    The embeddings of views are kept, the latest within `cache_bytes` (0 keeps nothing), and a
    view with the same pixels is not encoded again: of a camera's frame only the slices that
    changed, and the thumbnail.

    Several threads may encode with it at once: engines are opened once, and while one
    thread opens them the others wait. ONNX Runtime then runs side by side for all of them,
    TensorRT for one after the other. A view that two threads want is encoded by one of them.

    Raises `BundleError` for a bundle that cannot be opened, `EngineUnavailableError` for an
    engine this machine, or a mode or precision the bundle does not have, and
    `OptionError` for invalid `max_slices`, `threads` or `cache_bytes`.
    """

    bundle: Bundle
    mode: Mode
    max_slices: int
    notes: list[str]

    def __init__(
        self,
        bundle: Bundle | str | Path | None = None,
        *,
        mode: Mode | None = None,
        max_slices: int | None = None,
        engine: EngineName = "auto",
        precision: PrecisionChoice = "auto",
        threads: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.bundle = Bundle.of(bundle)
        self.mode = self.bundle.manifest.default_mode if mode is None else mode
        self.max_slices = self.bundle.manifest.preprocessing.max_slices if max_slices is None else max_slices
        self.notes = []
        check_engine(engine)
        threads = None if threads is None else require_whole("threads", threads, 1, MOST_THREADS)
        cache_bytes = require_whole("cache_bytes", cache_bytes, 0, MOST_CACHE_BYTES)
        self._cache = ViewCache(cache_bytes) if cache_bytes else None
        self._opener = TowerOpener(self.bundle, engine=engine, precision=precision, threads=threads, notes=self.notes)
        self._opener.check(self.mode)
        plan_slices(1, 1, self.bundle.manifest.preprocessing, mode=self.mode, max_slices=self.max_slices)

    def encode(
        self,
        image: ImageInput,
        *,
        mode: Mode | None = None,
        max_slices: int | None = None,
        tolerance: float = 0.0,
    ) -> Encoded:
        """Encode one image; `mode` and `max_slices` count for this image alone.

        With a `tolerance` a view is also reused when its pixels differ from those that were
        last encoded in the same place (of an image of the same size, cut alike, in the same
        mode, given with a tolerance) by no more than this: a mean absolute difference over
        the view, in grey levels from 0 to 255. It allows reuse and does not promise it: what
        the cache has dropped is encoded again.

        Raises `ImageError` for an image that cannot be read or is too thin, `OptionError`
        for a senseless `tolerance`, and `EngineError` when an engine cannot be opened, fails
        or returns NaN or Inf.
        """
        if mode is None:
            mode = self.mode
        else:
            self._opener.check(mode)
        max_slices = self.max_slices if max_slices is None else max_slices
        tolerance = require_number("tolerance", tolerance, 0, 255, hint="from 0 to 255 grey levels")
        timings = dict.fromkeys(STAGES, 0.0)
        with timed(timings, "decode"):
            rgb = load_image(image)
        with timed(timings, "slice"):
            plan = plan_views(*rgb.size, self.bundle.manifest.preprocessing, mode=mode, max_slices=max_slices)
            sliced = slice_image(rgb, plan)
        return self._encode(sliced, plan, tolerance, timings)

    def encode_planned(self, image: Image.Image, plan: SlicePlan, *, tolerance: float = 0.0) -> Encoded:
        """Encode an RGB image cut as `plan` says, which is `plan_views` of its size; see `encode`.

        Raises `EngineError`.
        """
        timings: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        with timed(timings, "slice"):
            sliced = slice_image(image, plan)
        return self._encode(sliced, plan, tolerance, timings)

    def _encode(self, sliced: SlicedImage, plan: SlicePlan, tolerance: float, timings: dict[str, float]) -> Encoded:
        towers = self._towers_in_time(plan.mode, timings)
        try:
            embeddings, encoded = self._look(towers, sliced, plan.image_size, tolerance, timings)
        except EngineError as error:
            with timed(timings, "open"):
                towers = self._opener.instead_of(towers, error)
            embeddings, encoded = self._look(towers, sliced, plan.image_size, tolerance, timings)
        views = tuple(
            EncodedView(view.rows, view.columns, len(of_view))
            for view, of_view in zip(sliced.views, embeddings, strict=True)
        )
        return Encoded(
            np.concatenate(embeddings),
            plan.grid,
            views,
            plan.mode,
            timings,
            reused=len(views) - encoded,
            encoded=encoded,
        )

    def close(self) -> None:
        """Close every engine; the encoder cannot be used again."""
        self._opener.close()
        if self._cache is not None:
            self._cache.clear()

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

    def _look(
        self,
        towers: Towers,
        sliced: SlicedImage,
        size: tuple[int, int],
        tolerance: float,
        timings: dict[str, float],
    ) -> tuple[list[NDArray[np.float32]], int]:
        """Embeddings of each view, and how many views were encoded for it."""
        if self._cache is None:
            return encode_views(towers, sliced.views, timings), len(sliced.views)
        return encode_reusing(towers, sliced, self._cache, timings, size=size, tolerance=tolerance)

    def _towers_in_time(self, mode: Mode, timings: dict[str, float]) -> Towers:
        if self._opener.is_open(mode):
            return self.towers(mode)
        with timed(timings, "open"):
            return self.towers(mode)
