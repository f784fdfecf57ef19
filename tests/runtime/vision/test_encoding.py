"""Views on their way through the graphs: in which batches, and what the graphs may not return."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from support.images.noise import photo
from support.telling_bundle import brittle_above, connector, encoder, telling_bundle
from support.vision.told_embeddings import expected_embeddings, split

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import EngineError
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.encoding import BATCH_PATCHES


def test_views_of_one_patch_count_are_one_batch(bundle: Bundle, opened: dict[str, list[tuple[int, ...]]]) -> None:
    with VisionEncoder(bundle, threads=1) as encoder_:
        encoder_.encode(photo(336, 336))  # thumbnail and nine slices, all 8 x 8 patches
        encoder_.encode(photo(400, 100))  # a thumbnail of 4 x 16 and four slices of 8 x 8
        encoder_.encode(photo(400, 150))  # a thumbnail of 4 x 12 and four slices of 8 x 8
    batches = opened["encoder-16x.onnx"]
    assert batches == [(10, 64, 588), (5, 64, 588), (1, 48, 588), (4, 64, 588)]
    assert [shape[0] for shape in opened["connector.onnx"]] == [shape[0] for shape in batches]


def test_a_batch_has_a_bounded_number_of_patches(tmp_path: Path, opened: dict[str, list[tuple[int, ...]]]) -> None:
    large = telling_bundle(tmp_path / "large", scale_resolution=448)
    with VisionEncoder(large, threads=1) as encoder_:
        seen = encoder_.encode(photo(1344, 1344))
    batches = [shape[0] for shape in opened["encoder-16x.onnx"]]
    assert sum(batches) == len(seen.views) == 10
    assert max(batches) == BATCH_PATCHES // 1024 == 2
    for ours, reference in zip(split(seen), expected_embeddings(photo(1344, 1344), large, "16x", 9), strict=True):
        np.testing.assert_allclose(ours, reference, rtol=0, atol=2e-4)


def white_spot_in_the_third_slice() -> Image.Image:
    """One patch of one slice is white; in the thumbnail the spot is too small to fill a patch."""
    image = Image.new("RGB", (336, 224), "black")
    image.paste("white", (238, 14, 252, 28))
    return image


@pytest.mark.parametrize("part", ["encoder", "connector"])
def test_nan_is_refused_with_the_name_of_the_engine_and_the_view(tmp_path: Path, part: str) -> None:
    brittle = telling_bundle(tmp_path / "brittle", table_side=1)  # every position id is 0
    file, graph = {"encoder": ("encoder-16x", encoder("16x")), "connector": ("connector", connector())}[part]
    onnx.save(brittle_above(graph, 0.9), brittle.path / f"graphs/{file}.onnx")
    told = rf"the {part} \(CPUExecutionProvider, 16x, fp32\) returned NaN or Inf for "
    with VisionEncoder(brittle, threads=1) as encoder_:
        with pytest.raises(EngineError, match=told + "slice 3 of 6"):
            encoder_.encode(white_spot_in_the_third_slice())
        with pytest.raises(EngineError, match=told + "the thumbnail"):
            encoder_.encode(Image.new("RGB", (50, 50), "white"))
        assert np.isfinite(encoder_.encode(Image.new("RGB", (50, 50))).embeddings).all()


def test_embeddings_of_another_width_than_the_language_model_are_refused(tmp_path: Path) -> None:
    narrow = telling_bundle(tmp_path / "narrow", width=96)
    with VisionEncoder(narrow, threads=1) as encoder_, pytest.raises(EngineError) as caught:
        encoder_.encode(photo(50, 50))
    assert "returned float32 [1, 4, 64] instead of float32 [1, 4, 96]" in str(caught.value)
