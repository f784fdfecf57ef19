"""What TensorRT-RTX makes of NVFP4 products: an engine that was really built for RTX 50."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.vision.int8_sums import build_encoder, planned_products

from uhd_edge.engines.building.targets import TARGETS, buildable_precisions
from uhd_edge.engines.errors import EngineBuildError

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for x86-64 alone")

FP4 = "fp4_e2m1"


def test_the_towers_products_are_fp4_kernels_that_multiply_before_they_store(fp8_tiny: Bundle) -> None:
    products = planned_products(build_encoder(fp8_tiny, "nvfp4", "rtx-50"))
    in_blocks = [product for product in products if product.inputs == (FP4, FP4)]
    modules = [name for product in in_blocks for name in product.name.split("+")]
    layers = fp8_tiny.manifest.vision.layers
    assert len(modules) == 6 * layers  # q, k, v, out, fc1, fc2
    assert {product.output for product in in_blocks} == {"half"}
    assert all(0 < product.factor < 1e-3 for product in in_blocks)  # the bare sums of FP4 are never stored
    others = [product.name for product in products if product not in in_blocks]
    assert all("vit_merger" in name or "patch_embedding" in name for name in others)


def test_it_is_built_for_blackwell_alone(fp8_tiny: Bundle) -> None:
    assert [one.name for one in TARGETS if "nvfp4" in buildable_precisions(one)] == ["rtx-50", "thor", "here"]
    with pytest.raises(EngineBuildError, match="HW-specific datatypes: fp4_e2m1"):
        build_encoder(fp8_tiny, "nvfp4", "rtx-40")
