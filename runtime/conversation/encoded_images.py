"""Images that were encoded before the question, by `VisionEncoder.encode`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.vision.patches import tokens_per_view
from uhd_edge.runtime.vision.slicing import SlicePlan

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.manifest import Manifest, Preprocessing
    from uhd_edge.runtime.images.video import MediaInput
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.vision.encoder import Encoded

# What a question may be about: an image, a video in place of one, or an image that was encoded before.
# Any of them may come with a mode of its own, as a pair: (image, "4x").
QuestionImage: TypeAlias = "MediaInput | Encoded | tuple[MediaInput | Encoded, Mode]"


def own_encoded(encoded: Encoded, manifest: Manifest) -> Encoded:
    """Return a copy of an encoded image that the caller cannot change any more.

    Raises `ImageError` when it cannot be of this bundle: embeddings of another width or number,
    views of another size, or numbers that are not finite, which would spoil the model's memory.
    """
    embeddings, width = np.array(encoded.embeddings, np.float32, order="C"), manifest.llm.hidden_size
    if embeddings.ndim != 2 or embeddings.shape[1] != width:
        raise ImageError(
            f"the encoded image has embeddings of shape {list(embeddings.shape)}, but the language model takes "
            f"[n, {width}]; encode it with the bundle of the assistant"
        )
    tokens = [view.tokens for view in encoded.views]
    expected = [tokens_per_view(view.rows, view.columns, manifest.vision, mode=encoded.mode) for view in encoded.views]
    if not tokens or tokens != expected or sum(tokens) != len(embeddings) or not _is_cut_evenly(encoded):
        raise ImageError("the encoded image does not fit its own views; encode it with the bundle of the assistant")
    if not np.isfinite(embeddings).all():
        raise ImageError("the encoded image has embeddings that are NaN or infinite; encode it again")
    return replace(encoded, embeddings=embeddings)


def plan_encoded(encoded: Encoded, preprocessing: Preprocessing, *, mode: Mode) -> SlicePlan:
    """Return how an encoded image was cut; raises `ImageError` unless it was encoded in `mode`."""
    if encoded.mode != mode:
        raise ImageError(
            f"the image was encoded in mode {encoded.mode}, but the question is asked in {mode}; encode it in {mode}, "
            f'ask with mode="{encoded.mode}", or give it as (image, "{encoded.mode}")'
        )
    patch = preprocessing.patch_size
    thumbnail, *slices = [(view.rows * patch, view.columns * patch) for view in encoded.views]
    slice_size = slices[0] if slices else (0, 0)
    return SlicePlan(
        (thumbnail[1], thumbnail[0]),
        mode,
        max(len(slices), 1),
        thumbnail,
        slice_size,
        encoded.grid,
        patch,
        preprocessing.resample,
        is_encoded=True,
    )


def _is_cut_evenly(encoded: Encoded) -> bool:
    slices = {(view.rows, view.columns) for view in encoded.views[1:]}
    return len(encoded.views) - 1 == encoded.grid[0] * encoded.grid[1] and len(slices) <= 1
