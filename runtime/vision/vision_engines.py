"""Encoder and connector of one mode: a batch of views becomes embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.errors import EngineResultError
from uhd_edge.runtime.timing import timed
from uhd_edge.runtime.vision.patches import encoder_inputs, make_patches, position_ids, tokens_per_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from uhd_edge.engines.engine import Array, Engine
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.modes import Mode, Precision
    from uhd_edge.runtime.vision.slicing import View


@dataclass(frozen=True)
class VisionEngines:
    """The two open engines of one mode and precision, and the manifest they belong to.

    `both_modes` says that the encoder serves both modes (see `encoder_inputs`).
    """

    encoder: Engine
    connector: Engine
    manifest: Manifest
    mode: Mode
    precision: Precision
    both_modes: bool = False


def encode_batch(
    engines: VisionEngines, views: Sequence[View], names: Sequence[str], timings: dict[str, float]
) -> NDArray[np.float32]:
    """Encode views of one patch count -> float32 [B, tokens, d_llm]; errors say which of `names` it was.

    Adds the milliseconds of its stages to `timings`. Raises `EngineError` when an engine
    fails, and `EngineResultError` when it returns NaN, Inf or another shape than the bundle promises.
    """
    manifest, mode = engines.manifest, engines.mode
    with timed(timings, "patches"):
        patches = _batch_of_patches(views, manifest, mode)
        positions = np.stack([position_ids(view.rows, view.columns, manifest.vision, mode=mode) for view in views])
        inputs = encoder_inputs(patches, positions, manifest.vision, mode=mode, both_modes=engines.both_modes)
    with timed(timings, "encoder"):
        features = _only_output(engines.encoder.run(inputs))
    with timed(timings, "connector"):
        embeddings = _only_output(engines.connector.run({"features": features}))
    tokens = tokens_per_view(views[0].rows, views[0].columns, manifest.vision, mode=mode)
    _check_shape(embeddings, (len(views), tokens, manifest.llm.hidden_size), engines)
    _check_finite(features, embeddings, engines, names)
    return embeddings


def _batch_of_patches(views: Sequence[View], manifest: Manifest, mode: Mode) -> NDArray[np.float32]:
    """[B, N, 3*p*p], each view written straight into its place: stacking would copy everything once more."""
    preprocessing = manifest.preprocessing
    patches = np.empty(
        (len(views), views[0].rows * views[0].columns, 3 * preprocessing.patch_size**2), dtype=np.float32
    )
    for view, place in zip(views, patches, strict=True):
        make_patches(view, preprocessing, manifest.vision, mode=mode, out=place)
    return patches


def _only_output(outputs: dict[str, Array]) -> Array:
    (output,) = outputs.values()
    return output


def _check_shape(embeddings: Array, expected: tuple[int, ...], engines: VisionEngines) -> None:
    """Refuse other widths: the language model would read past the end of narrower embeddings."""
    if embeddings.shape != expected or embeddings.dtype != np.float32:
        raise EngineResultError(
            f"the {engines.mode} {engines.precision} connector returned {embeddings.dtype} {list(embeddings.shape)} "
            f"instead of float32 {list(expected)}; export the bundle again"
        )


def _check_finite(features: Array, embeddings: Array, engines: VisionEngines, names: Sequence[str]) -> None:
    """One NaN would poison the language model's state without a word."""
    finite = np.isfinite(embeddings).all(axis=(1, 2))
    if finite.all():
        return
    view = int(np.argmin(finite))
    part, engine = ("connector", engines.connector)
    if not np.isfinite(features[view]).all():
        part, engine = ("encoder", engines.encoder)
    raise EngineResultError(
        f"the {part} ({engine.provider}, {engines.mode}, {engines.precision}) returned NaN or Inf for {names[view]}; "
        "use another precision, or export the bundle again"
    )
