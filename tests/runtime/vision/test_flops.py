"""Counting operations: against the exported graphs, the paper's tables, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.graph_flops import graph_flops
from support.vision.paper import PAPER_PATCHES, POST_VIT_BASELINE, TABLE_5, TABLE_A3, inserted_after

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.bundle_sizes import read_sizes
from uhd_edge.runtime.bundles.model_sizes import MINICPM_V_4_6
from uhd_edge.runtime.bundles.variants import VARIANTS, vary
from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.vision.flops import Flops, view_flops
from uhd_edge.runtime.vision.flops_of_pictures import flops_of_patches
from uhd_edge.runtime.vision.patches import encoder_inputs


def parts_of_the_graphs(bundle: Bundle, mode: Mode, patches: int) -> Flops:
    """The same parts as `Flops`, told apart by the names of the graphs' nodes."""
    encoder, connector = bundle.graphs(mode, "fp32")
    insert_layer = bundle.manifest.vision.insert_layer
    parts = dict.fromkeys(("embeddings", "before", "vit_merger", "after"), 0)
    positions = np.zeros((1, patches), np.int64)
    inputs = encoder_inputs(
        np.zeros((1, patches, 588), np.float32), positions, bundle.manifest.vision, mode=mode, both_modes=True
    )
    for name, flops in graph_flops(encoder, inputs).items():
        _, part, *rest = name.split("/")[0].split(".")
        if part == "encoder":
            part = "before" if int(rest[1]) <= insert_layer else "after"
        parts[part] += flops
    shape = (1, patches // 4 if mode == "16x" else patches, bundle.manifest.vision.hidden_size)
    of_connector = sum(graph_flops(connector, {"features": np.zeros(shape, np.float32)}).values())
    return Flops(parts["embeddings"], parts["before"], parts["vit_merger"], parts["after"], of_connector)


@pytest.mark.parametrize("mode", ["16x", "4x"])
@pytest.mark.parametrize("patches", [16, 256, 1024])
def test_the_usual_count_is_that_of_the_built_in_model_s_graphs(mode: Mode, patches: int) -> None:
    bundle = Bundle.open()
    counted = view_flops(read_sizes(bundle), patches, compressed=mode == "16x")
    assert counted == parts_of_the_graphs(bundle, mode, patches)


@pytest.mark.parametrize("mode", ["16x", "4x"])
def test_the_usual_count_is_that_of_a_random_checkpoint_s_graphs(qwen3_bundle: Bundle, mode: Mode) -> None:
    counted = view_flops(read_sizes(qwen3_bundle), 320, compressed=mode == "16x")
    assert counted == parts_of_the_graphs(qwen3_bundle, mode, 320)


@pytest.mark.parametrize(("layer", "printed"), TABLE_5.items())
def test_the_paper_s_count_gives_table_5(layer: int, printed: float) -> None:
    counted = view_flops(inserted_after(layer), PAPER_PATCHES, compressed=True, count="paper")
    assert counted.encoder / 1e9 == pytest.approx(printed, rel=0.001)


def test_the_paper_s_count_gives_the_baseline_of_post_vit_compression() -> None:
    counted = view_flops(MINICPM_V_4_6, PAPER_PATCHES, compressed=False, count="paper")
    assert counted.encoder / 1e9 == pytest.approx(POST_VIT_BASELINE, rel=0.001)


@pytest.mark.parametrize(("name", "printed"), TABLE_A3.items())
def test_the_paper_s_count_gives_table_a3(name: str, printed: float) -> None:
    sizes = vary(MINICPM_V_4_6, VARIANTS[name])
    counted = view_flops(sizes, PAPER_PATCHES, compressed=True, count="paper")
    assert counted.encoder / 1e9 == pytest.approx(printed, rel=0.001)


def test_a_resampler_is_counted_as_by_hand() -> None:
    """64 queries over 256 features: features and keys and values of them, queries, attention, output, projection."""
    sizes = vary(MINICPM_V_4_6, VARIANTS["window-reuse-resampler"])
    linears = 2 * 256 * (1152 * 1024 + 2 * 1024**2) + 2 * 64 * 3 * 1024**2
    assert view_flops(sizes, 1024, compressed=True).connector == linears + 4 * 1024 * 64 * 256


def test_the_paper_s_count_saves_what_the_paper_says() -> None:
    post_vit, ours = (
        view_flops(MINICPM_V_4_6, PAPER_PATCHES, compressed=compressed, count="paper").encoder
        for compressed in (False, True)
    )
    assert 1 - ours / post_vit == pytest.approx(0.558, abs=0.001)


def test_a_layer_is_counted_as_by_hand() -> None:
    """One layer more before the compressor: 4 d**2 + 2 d m twice for each token, and 4 d T**2."""
    more = view_flops(inserted_after(7), 64, compressed=False).layers_before
    fewer = view_flops(inserted_after(6), 64, compressed=False).layers_before
    assert more - fewer == 64 * (8 * 1152**2 + 4 * 1152 * 4304) + 4 * 1152 * 64**2


@given(patches=st.integers(1, 500).map(lambda number: 16 * number), layer=st.integers(0, 25))
def test_compressing_later_never_takes_less(patches: int, layer: int) -> None:
    for count in ("usual", "paper"):
        earlier, later = (
            view_flops(inserted_after(place), patches, compressed=True, count=count).encoder  # type: ignore[arg-type]
            for place in (layer, layer + 1)
        )
        assert earlier < later


def test_patches_that_make_no_whole_tokens_are_refused() -> None:
    for patches in (0, -16, 20):
        with pytest.raises(OptionError, match="multiple"):
            flops_of_patches(MINICPM_V_4_6, patches)
