"""`uhd verify`: what is compared, with what, and what fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import numpy_helper
from PIL import Image
from support.images.noise import photo
from support.telling_bundle import brittle_above, encoder, telling_bundle

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Manifest
from uhd_edge.runtime.checking.verify import verify_bundle
from uhd_edge.runtime.images.synthetic_pictures import synthetic_pictures
from uhd_edge.runtime.vision.comparison import compare_view
from uhd_edge.runtime.vision.patches import make_patches, position_ids
from uhd_edge.runtime.vision.slicing import plan_slices, slice_image

TOKENS = hnp.arrays(np.float32, (5, 7), elements=st.floats(-100, 100, width=32))


def with_fp16(bundle: Bundle, graph: onnx.ModelProto) -> Bundle:
    """The telling bundle with `graph` as its 16x encoder in FP16."""
    onnx.save(graph, bundle.path / "graphs/encoder-16x-fp16.onnx")
    graphs = {"encoder": "graphs/encoder-16x-fp16.onnx", "connector": "graphs/connector.onnx"}
    manifest = bundle.manifest.model_dump()
    manifest["graphs"] = {"16x": manifest["graphs"]["16x"] | {"fp16": graphs}}
    return Bundle(bundle.path, Manifest.model_validate(manifest))


def with_encoder_moved_by(bundle: Bundle, target: Path, amount: float) -> Bundle:
    """A copy of an exported bundle whose FP16 16x encoder adds `amount` to every feature's first channel."""
    shutil.copytree(bundle.path, target)
    file = target / bundle.manifest.graphs["16x"]["fp16"].encoder
    model = onnx.load(file, load_external_data=False)
    (output,) = model.graph.output
    width = output.type.tensor_type.shape.dim[-1].dim_value
    model.graph.node[-1].output[0] = "right"
    shift = np.zeros(width, np.float32)
    shift[0] = amount
    model.graph.initializer.append(numpy_helper.from_array(shift, "shift"))
    model.graph.node.append(onnx.helper.make_node("Add", ["right", "shift"], [output.name]))
    onnx.save(model, file)
    manifest = json.loads((target / "bundle.json").read_text())
    record = manifest["files"][bundle.manifest.graphs["16x"]["fp16"].encoder]
    record["bytes"], record["sha256"] = file.stat().st_size, compute_sha256(file)
    (target / "bundle.json").write_text(json.dumps(manifest))
    return Bundle.open(target)


@settings(max_examples=50, deadline=None)
@given(expected=TOKENS, given_=TOKENS)
def test_cosines_are_those_of_torch(expected: np.ndarray, given_: np.ndarray) -> None:
    compared = compare_view(expected, given_, picture="p", view="v", mode="16x")
    one, other = torch.tensor(expected, dtype=torch.float64), torch.tensor(given_, dtype=torch.float64)
    cosines = torch.nn.functional.cosine_similarity(one, other, eps=1e-300).numpy()
    cosines = np.where((expected == given_).all(axis=1), 1.0, cosines)
    assert compared.token_cosine == pytest.approx(cosines.min(), abs=1e-9)
    assert cosines[compared.worst_token] == pytest.approx(cosines.min(), abs=1e-9)
    assert compared.largest_error == np.abs(one - other).max()
    if not (expected == given_).all():
        whole = torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0, eps=1e-300)
        assert compared.cosine == pytest.approx(float(whole), abs=1e-9)


def test_one_bad_token_is_found_where_it_is() -> None:
    expected = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)
    bad = expected.copy()
    bad[41] = -bad[41]
    compared = compare_view(expected, bad, picture="p", view="v", mode="16x")
    assert (compared.worst_token, compared.token_cosine) == (41, pytest.approx(-1.0))
    assert compared.cosine > 0.9
    assert compared.largest_error == pytest.approx(2 * np.abs(expected[41]).max())


def test_fp16_is_compared_with_the_fp32_graphs_view_by_view(qwen3_bundle: Bundle) -> None:
    image = photo(300, 200)
    report = verify_bundle(qwen3_bundle, precision="fp16", images=[image], modes=["16x"], question=None, threads=1)
    manifest = qwen3_bundle.manifest
    sliced = slice_image(image, plan_slices(*image.size, manifest.preprocessing, mode="16x"))
    for view, compared in zip(sliced.views, report.views, strict=True):
        right, tested = (straight(qwen3_bundle, view, kind) for kind in ("fp32", "fp16"))
        assert compared.largest_error == pytest.approx(np.abs(right - tested).max(), rel=0.2)
        assert compared.largest_error > 0
    assert [view.view for view in report.views][:2] == ["the thumbnail", f"slice 1 of {len(sliced.views) - 1}"]
    assert report.passed
    assert report.verified[0].precision == "fp16"


def straight(bundle: Bundle, view: Any, kind: Any) -> np.ndarray:
    """One view through the graphs with onnxruntime alone."""
    manifest = bundle.manifest
    encoder_file, connector_file = bundle.graphs("16x", kind)
    inputs = {
        "patches": make_patches(view, manifest.preprocessing, manifest.vision, mode="16x")[None],
        "position_ids": position_ids(view.rows, view.columns, manifest.vision, mode="16x")[None],
        "uncompressed": np.zeros((1, 0), np.int64),
    }
    features = onnxruntime.InferenceSession(encoder_file).run(None, inputs)[0]
    result: np.ndarray = onnxruntime.InferenceSession(connector_file).run(None, {"features": features})[0]
    return result


def test_the_reference_beside_itself_is_equal_in_every_number(qwen3_bundle: Bundle) -> None:
    report = verify_bundle(qwen3_bundle, precision="fp32", images=[photo(120, 90)], threads=1)
    assert {view.mode for view in report.views} == {"16x", "4x"}
    assert {(view.cosine, view.largest_error) for view in report.views} == {(1.0, 0.0)}
    assert report.agreement == 1.0
    assert report.passed


def test_it_says_that_fp32_takes_long_and_how_far_it_is(qwen3_bundle: Bundle) -> None:
    said: list[str] = []
    images = [photo(120, 90), photo(300, 200)]
    report = verify_bundle(
        qwen3_bundle, precision="fp16", images=images, modes=["4x"], question=None, threads=1, progress=said.append
    )
    views = len(report.views)
    first = sum(view.picture == "picture 1" for view in report.views)
    assert 0 < first < views
    begin, *steps, other = said
    assert begin.startswith(f"4x: FP32 on ONNX Runtime, {views} views on the CPU")
    assert "minutes" in begin
    assert [step.partition(" after ")[0] for step in steps] == [
        f"4x: FP32, {done} of {views} views" for done in (first, views)
    ]
    assert other == "4x: fp16 on CPUExecutionProvider"


def test_an_engine_that_is_off_fails_and_is_said_where(
    qwen3_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off = with_encoder_moved_by(qwen3_bundle, tmp_path / "off", 3.0)
    photo(120, 90).save(tmp_path / "photo.png")
    command = ["verify", str(off.path), str(tmp_path / "photo.png"), "--precision", "fp16", "--threads", "1"]
    assert exit_code([*command, "--json", "--mode", "16x"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is False
    assert min(view["cosine"] for view in report["views"]) < 0.999
    assert report["failures"][0].startswith("16x: cosine 0.")
    assert "of photo.png is below 0.999" in report["failures"][0]
    assert exit_code([*command, "--no-answers"]) == 1
    printed = capsys.readouterr()
    assert "failed: 16x: cosine 0." in printed.out
    assert "4x" in printed.out
    assert "were drawn" not in printed.out


def test_answers_that_differ_are_counted_and_told(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    off = with_encoder_moved_by(qwen3_bundle, tmp_path / "off", 50.0)
    manifest = off.manifest.model_dump()
    manifest["thresholds"]["fp16"] = {"cosine": 0, "token_cosine": 0, "agreement": 0.9}
    strict = Bundle(off.path, Manifest.model_validate(manifest))
    report = verify_bundle(strict, precision="fp16", images=[photo(120, 90)], modes=["16x"], threads=1)
    (answer,) = report.answers
    assert answer.expected != answer.given
    assert report.agreement == 0.0
    assert report.failures == ("16x: 0 of 1 answers are the same, below 90%",)


def test_the_thresholds_are_the_bundles(qwen3_bundle: Bundle) -> None:
    manifest = qwen3_bundle.manifest.model_dump()
    manifest["thresholds"]["fp16"]["token_cosine"] = 1.0
    strict = Bundle(qwen3_bundle.path, Manifest.model_validate(manifest))
    said: list[str] = []
    report = verify_bundle(
        strict, precision="fp16", images=[photo(90, 90)], modes=["4x"], question=None, threads=1, progress=said.append
    )
    assert not report.passed
    assert report.failures[0].endswith("(1 of 1 view)")
    assert "1 view on the CPU" in said[0]
    assert "cosine of the worst token" in report.failures[0]


def test_an_engine_that_returns_nan_fails_for_that_picture_alone(tmp_path: Path) -> None:
    brittle = with_fp16(telling_bundle(tmp_path / "brittle", table_side=1), brittle_above(encoder("16x"), 0.9))
    pictures = [Image.new("RGB", (50, 50), "white"), Image.new("RGB", (50, 50), "gray")]
    report = verify_bundle(brittle, precision="fp16", images=pictures, question=None, threads=1)
    assert report.failures[0].startswith("picture 1: the encoder (CPUExecutionProvider, 16x, fp16) returned NaN or Inf")
    assert {view.picture for view in report.views} == {"picture 2"}


def test_without_pictures_some_are_drawn_and_it_is_said(
    qwen3_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["verify", str(qwen3_bundle.path), "--mode", "16x", "--no-answers", "--threads", "1"]
    assert exit_code(command) == 0
    printed = capsys.readouterr().out
    assert "a few were drawn" in printed
    assert "That is the reference itself" in printed
    assert "passed" in printed
    for name, _ in synthetic_pictures(112):
        assert name in printed


def test_int8_that_fails_on_drawn_pictures_is_told_to_be_tried_on_real_ones(
    qwen3_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    off = with_encoder_moved_by(qwen3_bundle, tmp_path / "off", 3.0)
    manifest = json.loads((off.path / "bundle.json").read_text())
    for graphs in manifest["graphs"].values():
        graphs["int8"] = graphs["fp16"]
    (off.path / "bundle.json").write_text(json.dumps(manifest))
    command = ["verify", str(off.path), "--mode", "16x", "--no-answers", "--threads", "1"]
    assert exit_code([*command, "--precision", "int8"]) == 1
    assert "INT8 is calibrated on images like yours, not on drawn ones" in capsys.readouterr().out
    assert exit_code([*command, "--precision", "fp16"]) == 1
    assert "INT8" not in capsys.readouterr().out
    photo(120, 90).save(tmp_path / "own.png")
    assert exit_code([*command, "--precision", "int8", str(tmp_path / "own.png")]) == 1
    assert "INT8" not in capsys.readouterr().out, "these are not drawn"


@pytest.mark.parametrize("scale", [56, 112, 448])
def test_drawn_pictures_are_the_same_every_time_and_cut_in_several_ways(scale: int, qwen3_bundle: Bundle) -> None:
    first, second = (synthetic_pictures(scale) for _ in range(2))
    assert all(one[1].tobytes() == other[1].tobytes() for one, other in zip(first, second, strict=True))
    preprocessing = qwen3_bundle.manifest.preprocessing.model_copy(update={"scale_resolution": scale})
    grids = {plan_slices(*image.size, preprocessing, mode="16x", max_slices=9).grid for _, image in first}
    assert (0, 0) in grids
    assert len(grids) >= 3
