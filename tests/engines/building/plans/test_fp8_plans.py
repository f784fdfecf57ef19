"""What TensorRT-RTX makes of FP8 products: engines that were really built for the cards that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.int8 import load, weights_of
from support.vision.int8_sums import build_encoder, planned_products

from uhd_edge.engines.errors import EngineBuildError

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for x86-64 alone")

FP8 = "fp8_e4m3"


def expected_factors(bundle: Bundle) -> dict[str, float]:
    """The product of both scales of each MatMul in FP8, by the MatMul's name."""
    model, _ = load(bundle, "16x", "fp8")
    constants = weights_of(model)
    scales = {node.output[0]: constants[node.input[1]] for node in model.graph.node if node.op_type[:2] == "De"}
    return {
        node.name: float(np.prod([np.float64(scales[name]) for name in node.input]))
        for node in model.graph.node
        if node.op_type == "MatMul" and all(name in scales for name in node.input)
    }


@pytest.mark.parametrize("target", ["rtx-40", "rtx-50"])
def test_every_linear_is_an_fp8_kernel_that_multiplies_by_both_scales_before_it_stores(
    fp8_tiny: Bundle, target: str
) -> None:
    expected = expected_factors(fp8_tiny)
    products = planned_products(build_encoder(fp8_tiny, "fp8", target))
    # The builder may join queries, keys and values into one product: their names are then joined too.
    found = {
        name.rpartition("_")[0]: product
        for product in products
        if product.inputs == (FP8, FP8)
        for name in product.name.split("+")
    }
    assert found.keys() == expected.keys()
    assert len(found) > 20
    assert {product.output for product in found.values()} == {"half"}
    assert {name: product.factor for name, product in found.items()} == expected
    (other,) = (product for product in products if product.inputs != (FP8, FP8))
    assert "patch_embedding" in other.name
    assert other.inputs == ("half", "half")


@pytest.mark.parametrize("target", ["rtx-20", "rtx-30"])
def test_the_builder_itself_has_no_fp8_for_older_cards(fp8_tiny: Bundle, target: str) -> None:
    with pytest.raises(EngineBuildError, match="HW-specific datatypes: fp8_e4m3"):
        build_encoder(fp8_tiny, "fp8", target)
