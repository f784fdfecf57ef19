"""Settings that fit into a memory, and what is said where nothing does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.int8 import copy_of

from uhd_edge.bench.synthetic.bundle import SyntheticModel, open_synthetic_bundle
from uhd_edge.bench.synthetic.random_llm import RandomLanguageModel
from uhd_edge.engines.processor import FITTING_SUMS, Processor
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.model_sizes import MINICPM_V_4_6
from uhd_edge.runtime.bundles.variants import stand_on
from uhd_edge.runtime.checking.building import engine_orders
from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.memory.fitting import choose_settings, fit_settings
from uhd_edge.runtime.memory.machine import usable_memory
from uhd_edge.runtime.memory.need import MARGIN
from uhd_edge.runtime.memory.running import RunSettings, cpu_need, cpu_vision_parts
from uhd_edge.runtime.memory.vision import weight_bytes
from uhd_edge.runtime.memory.written_size import parse_memory

if TYPE_CHECKING:
    from pathlib import Path

GB = 10**9


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GB", 8 * GB), ("7.4GiB", round(7.4 * 2**30)), ("8000MB", 8 * GB), (" 8 gb ", 8 * GB), ("8G", 8 * GB)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_memory("--memory", text) == size


@pytest.mark.parametrize(
    "text", ["", "eight", "8", "-8GB", "0GB", "8,5GB", "nanGB", "1e9GB", "99999TB", "٨GB", "8GB RAM"]
)
def test_nonsense_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(OptionError, match=r"^--memory is [^\n]*$"):
        parse_memory("--memory", text)


def test_the_chosen_settings_add_up_and_fit_with_the_margin(qwen3_bundle: Bundle) -> None:
    found = fit_settings(qwen3_bundle, 8 * GB, "orin")
    chosen = choose_settings(found)
    assert chosen is found[0]
    assert chosen.precision == "fp16"
    assert chosen.is_own
    assert set(chosen.needs) == {"build", "verify", "run"}
    assert chosen.peak * (1 + MARGIN) <= usable_memory(8 * GB)
    for need in chosen.to_dict()["needs"].values():
        assert need["bytes"] == sum(part["bytes"] for part in need["parts"])
        assert all(part["source"] for part in need["parts"])


def test_where_nothing_fits_every_line_is_at_its_smallest(qwen3_bundle: Bundle) -> None:
    found = fit_settings(qwen3_bundle, 2 * GB, "orin")
    assert choose_settings(found) is None
    assert {one.context for one in found} == {2048}
    assert len({one.language_model for one in found}) > 1  # smaller ones were tried


def test_a_larger_context_and_more_conversations_take_more(qwen3_bundle: Bundle) -> None:
    def total(**more: int) -> int:
        return cpu_need(qwen3_bundle, RunSettings(("16x",), **more), "fp32").total

    assert total(context=256) < total(context=512) < total(context=512, conversations=2)


def test_int8_that_must_be_computed_exactly_takes_half_of_its_weights_again(
    calibrated_tiny: Bundle, tmp_path: Path
) -> None:
    def total(bundle: Bundle, *features: str) -> int:
        processor = Processor("x86_64", frozenset(features))
        return cpu_need(bundle, RunSettings(("16x",)), "int8", processor).total

    assert total(calibrated_tiny, "avx2") == total(calibrated_tiny, "avx512_vnni")
    unlimited = copy_of(calibrated_tiny, tmp_path / "bundle")
    encoder, _ = unlimited.graphs("16x", "int8")
    mark = FITTING_SUMS.encode()
    encoder.write_bytes(encoder.read_bytes().replace(mark, bytes(reversed(mark))))
    weights, _ = weight_bytes(unlimited, ("16x",), "int8")
    assert total(unlimited, "avx2") - total(unlimited, "avx512_vnni") == round(1.5 * weights) - weights


def test_scores_of_attention_count_where_fp32_is_not_fused(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    """All else grows as the patches do, scores with their square. A MoonViT turns its positions and is not fused."""
    llm = RandomLanguageModel(16, 16, layers=1, heads=1, kv_heads=1, head=16)
    sizes = stand_on(MINICPM_V_4_6, "moonvit")
    vision = {"hidden_size": 24, "intermediate_size": 40, "layers": 2, "insert_layer": 0}
    small = replace(sizes, vision=sizes.vision.model_copy(update=vision), mlp_width=40, llm_width=16)
    moonvit = open_synthetic_bundle(
        SyntheticModel(small, 3, llm), tmp_path, precisions=["fp32"], threads=1, progress=lambda _: None
    )

    def activations(bundle: Bundle, times: int) -> int:
        preprocessing = bundle.manifest.preprocessing
        larger = preprocessing.model_copy(update={"scale_resolution": times * preprocessing.scale_resolution})
        changed = replace(bundle, manifest=bundle.manifest.model_copy(update={"preprocessing": larger}))
        parts = cpu_vision_parts(changed, RunSettings(("16x",), max_slices=1), "fp32")
        return next(part.bytes for part in parts if part.name == "activations")

    for bundle in (Bundle.open(), qwen3_bundle):
        assert activations(bundle, 2) == 4 * activations(bundle, 1)
    assert activations(moonvit, 2) > 8 * activations(moonvit, 1)


def test_engines_are_for_views_up_to_the_largest(qwen3_bundle: Bundle) -> None:
    def largest(patches: int | None) -> int:
        orders = engine_orders(qwen3_bundle, modes=["16x"], precision="fp16", largest=patches)
        return max(
            profile["patches"].largest[1] for order in orders for profile in order.profiles if "patches" in profile
        )

    assert largest(None) == 4096
    assert largest(64) <= 64
    with pytest.raises(OptionError, match="the largest view is 1 patches; it must be from"):
        largest(1)
