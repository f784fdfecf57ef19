"""What TensorRT-RTX makes of INT8 products: engines that were really built, for each card, read as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.int8 import copy_of
from support.vision.int8_sums import build_encoder, planned_products, vectors_of_scales, with_channel_scales

from uhd_edge.engines.errors import EngineRefusedError
from uhd_edge.runtime.checking.building import engine_orders

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for x86-64 alone")


@pytest.mark.parametrize("target", ["rtx-20", "rtx-30", "rtx-40", "rtx-50"])
def test_kernels_multiply_sums_by_a_float_before_they_store_them(calibrated_tiny: Bundle, target: str) -> None:
    encoder, _ = calibrated_tiny.graphs("16x", "int8-tensorrt")
    plan = build_encoder(calibrated_tiny, "int8", target, encoder)
    products = [product for product in planned_products(plan) if product.inputs == ("int8", "int8")]
    assert len(products) > 20
    assert {product.output for product in products} == {"half"}
    assert all(2.0**-14 <= product.factor < 2.0**-13 for product in products)
    assert vectors_of_scales(plan) == []


def test_with_a_scale_for_each_channel_they_store_bare_sums(calibrated_tiny: Bundle, tmp_path: Path) -> None:
    encoder, _ = calibrated_tiny.graphs("16x", "int8-tensorrt")
    former = with_channel_scales(encoder, tmp_path / "former.onnx")
    plan = build_encoder(calibrated_tiny, "int8", "rtx-40", former)
    products = [product for product in planned_products(plan) if product.inputs == ("int8", "int8")]
    assert {product.factor for product in products} == {1.0}
    assert len(vectors_of_scales(plan)) >= len(products)


def test_the_patch_embedding_is_not_in_int8(calibrated_tiny: Bundle) -> None:
    encoder, _ = calibrated_tiny.graphs("16x", "int8-tensorrt")
    plan = build_encoder(calibrated_tiny, "int8", "rtx-40", encoder)
    (embedding,) = (product for product in planned_products(plan) if "patch_embedding" in product.name)
    assert embedding.inputs == ("half", "half")


@pytest.mark.parametrize(
    ("simulations", "reason"), [([], "an earlier version"), ([{"overflow": 3}], "its calibration")]
)
def test_a_bundle_whose_sums_would_overflow_still_opens_but_is_not_built(
    calibrated_tiny: Bundle, tmp_path: Path, simulations: list[dict[str, int]], reason: str
) -> None:
    bundle = copy_of(calibrated_tiny, tmp_path / "bundle")
    report = bundle.path / str(bundle.manifest.calibration)
    content = json.loads(report.read_text(encoding="utf-8"))
    content["flavours"]["int8-tensorrt"]["simulations"] = simulations
    report.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(EngineRefusedError, match=f"{reason}.*calibrate it again: uhd calibrate"):
        engine_orders(bundle, modes=["16x"], precision="int8")
    assert engine_orders(bundle, modes=["16x"], precision="fp16")
