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

from uhd_edge.engines.engine import ClosedByWith
from uhd_edge.engines.names import EngineName
from uhd_edge.engines.selection import check_engine
from uhd_edge.runtime.answer import EncodedView
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import EngineError
from uhd_edge.runtime.images.loading import ImageInput, load_image
from uhd_edge.runtime.modes import Mode, Precision
from uhd_edge.runtime.release import warn_renamed
from uhd_edge.runtime.timing import timed
from uhd_edge.runtime.validation import MOST_THREADS, require_number, require_whole
from uhd_edge.runtime.vision.encoding import encode_views
from uhd_edge.runtime.vision.engine_choice import PrecisionChoice
from uhd_edge.runtime.vision.opening import EngineOpener
from uhd_edge.runtime.vision.slicing import plan_slices, plan_views, slice_image
from uhd_edge.runtime.vision.view_cache import ViewCache
from uhd_edge.runtime.vision.view_reuse import CACHE_STAGE, encode_reusing
from uhd_edge.runtime.vision.vision_engines import VisionEngines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from uhd_edge.runtime.vision.slicing import SlicedImage, SlicePlan
    from uhd_edge.runtime.vision.verdicts.kept import Verdict

STAGES: tuple[str, ...] = ("decode", "slice", "open", CACHE_STAGE, "patches", "encoder", "connector")

# Embeddings of 200 views of the real model in 16x (0.26 MB each) or 60 in 4x: some twenty camera frames.
CACHE_BYTES = 64 * 2**20
MOST_CACHE_BYTES = 2**40


@dataclass(frozen=True, eq=False)
class Encoded:
    """What the language model sees of one image; use it for as many questions as you like.

    `embeddings` is float32 [n, d_llm], C-contiguous: the thumbnail's, then each slice's, row by
    row. They are the caller's own copy. `grid` is (rows, columns) of slices, (0, 0) without
    slices. `timings_ms` has the milliseconds of each stage: decode, slice, open (0 when the
    mode's engines were open), cache (the lookup of views), patches, encoder, connector. Of the
    views, `encoded_views` went through the engines for this image and `reused_views` came from
    the cache. `precision` is that of the graphs that ran.
    """

    embeddings: NDArray[np.float32]
    grid: tuple[int, int]
    views: tuple[EncodedView, ...]
    mode: Mode
    timings_ms: Mapping[str, float]
    reused_views: int = 0
    encoded_views: int = 0
    precision: Precision | None = None

    @property
    def timings(self) -> Mapping[str, float]:
        """The former name of `timings_ms`."""
        warn_renamed("Encoded.timings", "timings_ms")
        return self.timings_ms

    @property
    def reused(self) -> int:
        """The former name of `reused_views`."""
        warn_renamed("Encoded.reused", "reused_views")
        return self.reused_views

    @property
    def encoded(self) -> int:
        """The former name of `encoded_views`."""
        warn_renamed("Encoded.encoded", "encoded_views")
        return self.encoded_views


class VisionEncoder(ClosedByWith):
    """The open engines of a bundle's vision graphs; close it, or use it with `with`.

    `bundle` is an open bundle or its folder, None the built-in uhd-tiny. `mode` and `max_slices`
    default to the bundle's own. `precision` "auto" on a CPU is INT8 if the bundle's calibration
    verified it and the processor gains by it, and FP32 otherwise. `threads` is the number of
    CPU cores for one run, None all usable ones. Engines are opened when a mode is first used;
    modes share a connector that is the same file. `notes` says, a line each, why a better
    engine was not used, and which precision was chosen where the bundle holds INT8.

    `cache_bytes` limits the embedding cache (0 turns it off): a view with the same pixels is not
    encoded again. Of a camera's frame only the changed slices and the thumbnail are encoded.

    Thread-safe: engines are opened once. ONNX Runtime runs for several threads at a time,
    TensorRT for one at a time. A view that two threads need is encoded by one of them.

    Raises `BundleError` for a bundle that cannot be opened, `EngineUnavailableError` for an
    engine, mode or precision that is not available, and `OptionError` for invalid
    `max_slices`, `threads` or `cache_bytes`.
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
        self._opener = EngineOpener(self.bundle, engine=engine, precision=precision, threads=threads, notes=self.notes)
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
        """Encode one image; `mode` and `max_slices` are for this image alone.

        With a `tolerance`, a view is also reused when it differs little from the pixels that were
        last encoded in the same place: of an image of the same size, cut alike, in the same
        mode, with a tolerance. The limit is a mean absolute difference over the view, in grey
        levels from 0 to 255. What the cache has dropped is encoded again.

        Raises `ImageError` for an image that cannot be read or is too thin, `OptionError` for
        an invalid `tolerance`, and `EngineError` when an engine cannot be opened, fails, or
        returns NaN or Inf.
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
        engines = self._open_in_time(plan.mode, timings)
        try:
            embeddings, encoded = self._encode_views(engines, sliced, plan.image_size, tolerance, timings)
        except EngineError as error:
            with timed(timings, "open"):
                engines = self._opener.open_instead(engines, error)
            embeddings, encoded = self._encode_views(engines, sliced, plan.image_size, tolerance, timings)
        views = tuple(
            EncodedView(view.rows, view.columns, len(of_view), reused=number not in encoded)
            for number, (view, of_view) in enumerate(zip(sliced.views, embeddings, strict=True))
        )
        return Encoded(
            np.concatenate(embeddings),
            plan.grid,
            views,
            plan.mode,
            timings,
            reused_views=len(views) - len(encoded),
            encoded_views=len(encoded),
            precision=engines.precision,
        )

    def close(self) -> None:
        """Close every engine; the encoder cannot be used again."""
        self._opener.close()
        if self._cache is not None:
            self._cache.clear()

    def open_mode(self, mode: Mode) -> VisionEngines:
        """Open the engines of `mode`, or return those that are open; they are closed with the encoder.

        Raises `EngineError` when they cannot be opened or the encoder is closed.
        """
        return self._opener.open_mode(mode)

    def keep_verdict(self, mode: Mode, *, passed: bool) -> Verdict | None:
        """Keep whether the open TensorRT engines of `mode` agreed with FP32, and what a view takes them.

        `auto` goes by it. Returns what was kept, None for other engines.
        """
        return self._opener.keep_verdict(mode, passed=passed)

    def _encode_views(
        self,
        engines: VisionEngines,
        sliced: SlicedImage,
        size: tuple[int, int],
        tolerance: float,
        timings: dict[str, float],
    ) -> tuple[list[NDArray[np.float32]], set[int]]:
        """Return the embeddings of each view, and which views were encoded."""
        if self._cache is None:
            return encode_views(engines, sliced.views, timings), set(range(len(sliced.views)))
        return encode_reusing(engines, sliced, self._cache, timings, size=size, tolerance=tolerance)

    def _open_in_time(self, mode: Mode, timings: dict[str, float]) -> VisionEngines:
        if self._opener.is_open(mode):
            return self.open_mode(mode)
        with timed(timings, "open"):
            return self.open_mode(mode)
