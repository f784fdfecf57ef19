"""FP8 graphs have biases that give back what rounding takes on average, and only where that helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image
from support.int8 import MODES, copy_of, load, weights_of
from support.places import EXAMPLES

from uhd_edge.calibration import fp8
from uhd_edge.calibration.calibrate import calibrate_bundle
from uhd_edge.calibration.pictures import views_of
from uhd_edge.calibration.ranges.biases import mean_losses
from uhd_edge.calibration.simulation.simulate import simulate_bundle
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from uhd_edge.calibration.calibrate import Calibrated
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode


def inputs_of(bundle: Bundle, mode: Mode, linears: list[str], scratch: Path) -> dict[str, NDArray[np.float32]]:
    """Return what each linear reads in FP32, [tokens, in], of all views that `fp8_tiny` was calibrated on."""
    file, _ = bundle.graphs(mode, "fp32")
    model = onnx.load(file)
    sites = {node.name.removesuffix("/MatMul"): node.input[0] for node in model.graph.node}
    for site in dict.fromkeys(sites[name] for name in linears):
        model.graph.output.append(helper.make_tensor_value_info(site, onnx.TensorProto.FLOAT, None))
    onnx.save(model, scratch / f"{mode}.onnx")
    manifest = bundle.manifest
    with Image.open(EXAMPLES / "bench.png") as opened:
        picture = opened.convert("RGB")
    plan = plan_views(*picture.size, manifest.preprocessing, mode=mode, max_slices=1)
    both_modes = manifest.graphs[mode]["fp32"].both_modes
    rows: dict[str, list[Any]] = {name: [] for name in linears}
    with OnnxRuntimeEngine(scratch / f"{mode}.onnx", threads=1) as engine:
        for view in views_of(picture, plan, manifest, mode=mode, name="bench"):
            outputs = engine.run(view.inputs(manifest.vision, both_modes=both_modes))
            for name in linears:
                value = outputs[sites[name]]
                rows[name].append(value.reshape(-1, value.shape[-1]))
    return {name: np.concatenate(some) for name, some in rows.items()}


def rounded(rows: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    levels = (rows / np.float32(scale)).clip(-448, 448).astype(ml_dtypes.float8_e4m3fn)
    return levels.astype(np.float32) * np.float32(scale)


def test_a_bias_grows_by_the_mean_error_of_the_rows_of_both_modes(fp8_tiny: Bundle, tmp_path: Path) -> None:
    tower = "vision_tower"
    before, behind = f"{tower}.encoder.layers.0.self_attn.q_proj", f"{tower}.encoder.layers.5.mlp.fc2"
    linears = [before, f"{tower}.vit_merger.linear_1", behind]
    full, half, graph = (weights_of(load(fp8_tiny, "16x", kind)[0]) for kind in ("fp32", "fp16", "fp8"))
    nodes = load(fp8_tiny, "16x", "fp8")[0].graph.node
    made_by = {node.output[0]: node for node in nodes}
    of_mode = {mode: inputs_of(fp8_tiny, mode, linears, tmp_path) for mode in MODES}
    for name in linears:
        # The compressor has nothing to do in 4x, though it is in the graph.
        modes = ["16x"] if "vit_merger" in name else MODES
        rows = np.concatenate([of_mode[mode][name] for mode in modes])
        (product,) = (node for node in nodes if node.name == f"{name}/MatMul")
        scale, weight_scale = (float(graph[made_by[value].input[1]]) for value in product.input)
        weight = graph[f"{name}.weight_quantized"].astype(np.float32) * np.float32(weight_scale)
        weight = weight * half.get(f"{name}.weight.scales", np.float32(1))
        expected = (rows @ full[f"{name}.weight"] - rounded(rows, scale) @ weight).mean(axis=0)
        bias = graph[f"{name}.bias"]
        assert bias.dtype == half[f"{name}.bias"].dtype
        found = bias.astype(np.float32) - full[f"{name}.bias"]
        tolerance = np.spacing(np.abs(bias)).max() if bias.dtype == np.float16 else 1e-6
        np.testing.assert_allclose(found, expected, rtol=0.02, atol=float(tolerance) + 1e-5)
        assert np.abs(found).max() > 20 * float(tolerance)


def test_on_a_random_tower_they_raise_the_lowest_cosine_and_resuming_and_simulating_find_the_same(
    qwen3_bundle: Bundle, calibration_pictures: Path, tmp_path: Path
) -> None:
    picture = calibration_pictures / "1.png"

    def run(name: str, *stops: str) -> Calibrated:
        bundle = copy_of(qwen3_bundle, tmp_path / name)

        for stop in stops:

            def interrupt(stage: str, _fraction: float, stop: str = stop) -> None:
                if stage == stop:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                calibrate_bundle(bundle, [picture], precisions=["fp8"], max_slices=1, threads=1, progress=interrupt)
        return calibrate_bundle(bundle, [picture], precisions=["fp8"], max_slices=1, threads=1)

    whole, resumed = run("whole"), run("resumed", "fp8: biases", "fp8: layers excluded")
    assert resumed.report.to_json() == whole.report.to_json()
    with Image.open(picture) as opened:
        pictures = {"1.png": opened.convert("RGB")}
    seen = simulate_bundle(whole.bundle, pictures, kind="fp8", modes=MODES, max_slices=1, threads=1)
    found = {one.mode: one.agreement.lowest_cosine for one in whole.report.flavours["fp8"].simulations}
    assert found == {one.mode: pytest.approx(one.agreement.lowest_cosine, abs=1e-6) for one in seen}
    _, excluded, biases, *_ = whole.report.flavours["fp8"].steps
    assert biases.taken
    assert biases.agreement.lowest_cosine > excluded.agreement.lowest_cosine


def test_biases_that_do_not_raise_the_lowest_cosine_stay_as_they_are(
    qwen3_bundle: Bundle, calibration_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turned(*arguments: Any) -> dict[str, NDArray[np.float32]]:
        return {name: -loss for name, loss in mean_losses(*arguments).items()}

    monkeypatch.setattr(fp8, "mean_losses", turned)
    bundle = copy_of(qwen3_bundle, tmp_path / "bundle")
    picture = calibration_pictures / "1.png"
    made = calibrate_bundle(bundle, [picture], precisions=["fp8"], max_slices=1, threads=1)
    assert [step.taken for step in made.report.flavours["fp8"].steps] == [True, True, False, True]
    half, graph = (weights_of(load(made.bundle, "16x", kind)[0]) for kind in ("fp16", "fp8"))
    biases = [name for name in half if name.endswith(".bias")]
    assert len(biases) > 20
    assert all(np.array_equal(half[name], graph[name]) for name in biases)
