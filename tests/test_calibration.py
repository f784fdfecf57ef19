"""INT8 graphs: what is quantized, how closely, and what happens without pictures or with hard towers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from safetensors.torch import load_file, save_file

from uhd_edge.calibration import flavours
from uhd_edge.calibration.calibrate import Calibrated, calibrate_bundle
from uhd_edge.calibration.fallback import put_back
from uhd_edge.calibration.flavours import Prepared
from uhd_edge.calibration.measure import Agreement
from uhd_edge.calibration.plan import Plan
from uhd_edge.calibration.report import table
from uhd_edge.cli.main import exit_code
from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.bundle import Bundle, GraphKind, Threshold
from uhd_edge.runtime.errors import CalibrationError, ImageError, OutputError
from uhd_edge.runtime.verify import verify_bundle
from uhd_edge.runtime.vision import VisionEncoder

if TYPE_CHECKING:
    import torch

MODES = ("16x", "4x")
KINDS: tuple[GraphKind, ...] = ("int8", "int8-tensorrt")


def draw_pictures(folder: Path, count: int, seed: int) -> list[Path]:
    """Blurred noise in colour: smooth areas and edges, some of it sliced, some not."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    pictures = []
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (6, 7, 3), dtype=np.uint8))
        pictures.append(folder / f"{index}.png")
        coarse.resize((150, 110) if index % 2 else (224, 170), Image.Resampling.BICUBIC).save(pictures[-1])
    return pictures


def copy_of(bundle: Bundle, folder: Path) -> Bundle:
    return Bundle.open(shutil.copytree(bundle.path, folder))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    draw_pictures(folder, 6, seed=1)
    return folder


@pytest.fixture(scope="module")
def calibrated(qwen3_bundle: Bundle, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Calibrated:
    return calibrate_bundle(copy_of(qwen3_bundle, tmp_path_factory.mktemp("bundles") / "int8"), [pictures], threads=1)


def load(bundle: Bundle, mode: str, kind: GraphKind) -> list[onnx.ModelProto]:
    return [onnx.load(file) for file in bundle.graphs(mode, kind)]  # type: ignore[arg-type]


def weights_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def cosines(bundle: Bundle, pictures: list[Path], mode: str) -> list[float]:
    """Cosine of INT8 and FP32 of every view, through the encoder that users call."""
    with VisionEncoder(bundle, mode=mode, precision="int8") as tested, VisionEncoder(bundle, mode=mode) as exact:  # type: ignore[arg-type]
        found = []
        for picture in pictures:
            one, other = tested.encode(picture), exact.encode(picture)
            ends = np.cumsum([view.tokens for view in one.views])[:-1]
            for a, b in zip(np.split(one.embeddings, ends), np.split(other.embeddings, ends), strict=True):
                found.append(float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_only_products_with_weights_are_quantized(calibrated: Calibrated, mode: str, kind: GraphKind) -> None:
    kept = set(calibrated.report.flavours[kind].put_back)
    for model in load(calibrated.bundle, mode, kind):
        onnx.checker.check_model(model, full_check=True)
        made_by = {output: node for node in model.graph.node for output in node.output}
        constants = {tensor.name for tensor in model.graph.initializer}
        rounded = {name for name, node in made_by.items() if node.op_type == "DequantizeLinear"}
        assert {node.op_type for node in model.graph.node if rounded & {*node.input}} == {"MatMul"}
        for node in model.graph.node:
            if node.op_type != "MatMul":
                continue
            sources = [made_by[name].op_type if name in made_by else "constant" for name in node.input]
            module = node.name.removesuffix("/MatMul").rpartition(".")[2]
            if module == "patch_embedding" or node.name.removesuffix("/MatMul") in kept:
                assert node.input[1] in constants
            elif module == "self_attn" or node.name.endswith("/MatMul_1"):
                assert "DequantizeLinear" not in sources
            else:
                assert sources == ["DequantizeLinear", "DequantizeLinear"]


def test_what_tensorrt_gets_is_symmetric_int8_on_fp16_with_weights_per_channel(calibrated: Calibrated) -> None:
    for mode in MODES:
        for model in load(calibrated.bundle, mode, "int8-tensorrt"):
            constants = weights_of(model)
            for node in model.graph.node:
                if node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
                    continue
                scale = constants[node.input[1]]
                assert scale.dtype == np.float16
                assert (scale > 0).all()
                if node.input[0] in constants:
                    weight = constants[node.input[0]]
                    assert weight.dtype == np.int8
                    assert scale.shape == weight.shape[1:]
                    assert np.abs(weight.astype(int)).max(axis=0).min() >= 126  # all of the range is used
                else:
                    zero = constants[node.input[2]]
                    assert scale.shape == zero.shape == ()
                    assert zero.dtype == np.int8
                    assert zero == 0


def test_the_cpu_gets_uint8_activations_and_int8_weights(calibrated: Calibrated) -> None:
    for model in load(calibrated.bundle, "16x", "int8"):
        constants = weights_of(model)
        zeros = [constants[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"]
        assert {zero.dtype for zero in zeros} == {np.dtype(np.uint8)}


@pytest.mark.parametrize("kind", KINDS)
def test_both_encoders_share_one_weight_file_and_every_scale(calibrated: Calibrated, kind: GraphKind) -> None:
    compressed, plain = (calibrated.bundle.graphs(mode, kind)[0] for mode in MODES)  # type: ignore[arg-type]
    places = []
    for file in (compressed, plain):
        named: dict[str, dict[str, str]] = {}
        for tensor in onnx.load(file, load_external_data=False).graph.initializer:
            if tensor.external_data:
                named[tensor.name] = {entry.key: entry.value for entry in tensor.external_data}
        places.append(named)
    assert {place["location"] for named in places for place in named.values()} == {f"encoder-{kind}.weights"}
    shared = places[0].keys() & places[1].keys()
    assert shared == places[1].keys()
    assert all(places[0][name] == places[1][name] for name in shared)
    one, other = weights_of(onnx.load(compressed)), weights_of(onnx.load(plain))
    assert all(np.array_equal(one[name], other[name]) for name in one.keys() & other.keys())


def test_int8_is_close_to_fp32_on_pictures_it_was_not_made_from(calibrated: Calibrated, tmp_path: Path) -> None:
    held_out = draw_pictures(tmp_path, 4, seed=2)
    for mode in MODES:
        assert min(cosines(calibrated.bundle, held_out, mode)) >= 0.999


def test_the_report_tells_what_each_step_gained_and_lies_in_the_bundle(calibrated: Calibrated) -> None:
    bundle, report = calibrated.bundle, calibrated.report
    bundle.verify()
    assert bundle.describe_graphs() == "16x (fp32, fp16, int8, int8-tensorrt), 4x (fp32, fp16, int8, int8-tensorrt)"
    written = json.loads((bundle.path / str(bundle.manifest.calibration)).read_text())
    for kind in KINDS:
        steps = report.flavours[kind].steps
        assert [step.name for step in steps] == ["naive", "smoothing", "ranges", "layers put back"]
        assert steps[-1].agreement.reaches(report.goal)
        taken = [step.agreement.lowest_cosine for step in steps if step.taken]
        assert taken[-1] >= taken[0]
        stored = written["flavours"][kind]
        assert [step["agreement"]["lowest_cosine"] for step in stored["steps"]] == [
            step.agreement.lowest_cosine for step in steps
        ]
        assert len(stored["layers"]) == 26  # three layers, the compressor and the connector
        for name in ("naive", "smoothing", "ranges", "layers put back", f"{steps[0].agreement.lowest_cosine:.6f}"):
            assert name in table(report)
    with Image.open(bundle.path / "calibration.png") as plot:
        plot.verify()
        assert plot.format == "PNG"


def test_calibrating_again_replaces_the_int8_graphs_and_nothing_else(
    calibrated: Calibrated, pictures: Path, tmp_path: Path
) -> None:
    old = copy_of(calibrated.bundle, tmp_path / "again")
    new = calibrate_bundle(old, [pictures / "0.png", pictures / "1.png"], threads=1).bundle
    new.verify()
    assert new.manifest.calibration == "calibration.2.json"
    assert {name for name in old.manifest.files if "int8" not in name and "calibration" not in name} == {
        name for name in new.manifest.files if "int8" not in name and "calibration" not in name
    }
    on_disk = {path.relative_to(new.path).as_posix() for path in new.path.rglob("*") if path.is_file()}
    assert on_disk == {*new.manifest.files, "bundle.json"}
    assert len(new.manifest.files) == len(old.manifest.files)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_without_pictures_there_is_an_error_and_no_ranges(
    qwen3_bundle: Bundle, tmp_path: Path, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [tmp_path / str(index) for index in range(count)]
    for source in sources:
        source.mkdir()
        (source / "notes.txt").write_text("no picture")
    with pytest.raises(CalibrationError, match="no pictures in"):
        calibrate_bundle(qwen3_bundle, sources)
    assert exit_code(["calibrate", str(qwen3_bundle.path), *map(str, sources)]) == 1
    assert "no pictures in" in capsys.readouterr().err
    assert Bundle.open(qwen3_bundle.path) == qwen3_bundle


def test_a_picture_that_is_missing_or_broken_is_named_and_the_bundle_stays(
    qwen3_bundle: Bundle, pictures: Path, tmp_path: Path
) -> None:
    bundle = copy_of(qwen3_bundle, tmp_path / "bundle")
    before = sorted(path.name for path in bundle.path.rglob("*"))
    with pytest.raises(CalibrationError, match=r"nothing\.png: no such picture"):
        calibrate_bundle(bundle, [tmp_path / "nothing.png"])
    broken = tmp_path / "broken.png"
    broken.write_bytes((pictures / "0.png").read_bytes()[:500])
    with pytest.raises(ImageError, match=r"broken\.png"):
        calibrate_bundle(bundle, [broken])
    assert sorted(path.name for path in bundle.path.rglob("*")) == before
    assert Bundle.open(bundle.path) == bundle


def test_a_bundle_without_fp32_cannot_be_calibrated_and_one_without_fp16_gets_no_graph_for_tensorrt(
    qwen3_bundle: Bundle, pictures: Path, tmp_path: Path
) -> None:
    def only(precision: str) -> Bundle:
        bundle = copy_of(qwen3_bundle, tmp_path / precision)
        content = json.loads((bundle.path / "bundle.json").read_text())
        content["graphs"] = {"16x": {precision: content["graphs"]["16x"][precision]}}
        (bundle.path / "bundle.json").write_text(json.dumps(content))
        return Bundle.open(bundle.path)

    with pytest.raises(CalibrationError, match="export with --precisions fp32"):
        calibrate_bundle(only("fp16"), [pictures / "0.png"])
    assert calibrate_bundle(only("fp32"), [pictures / "1.png"]).bundle.describe_graphs() == "16x (fp32, int8)"


def test_a_bundle_that_cannot_be_written_is_said_so_at_once(
    qwen3_bundle: Bundle, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match="Read-only file system"):
        calibrate_bundle(qwen3_bundle, [pictures])


def plant(tensors: dict[str, torch.Tensor], norm: str, linears: list[str], channels: list[int]) -> None:
    """Make some channels of a LayerNorm's output 30 times as large, and take it back in the linears' weights."""
    for channel in channels:
        tensors[f"{norm}.weight"][channel] *= 30
        tensors[f"{norm}.bias"][channel] *= 30
        for linear in linears:
            tensors[f"{linear}.weight"][:, channel] /= 30


@pytest.fixture(scope="module")
def outlier_bundle(qwen3_checkpoint: Path, qwen3_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("outliers")
    checkpoint = Path(shutil.copytree(qwen3_checkpoint, folder / "checkpoint"))
    tensors = load_file(checkpoint / "model.safetensors")
    for layer, channels in ((0, [3]), (1, [5, 40]), (2, [17])):
        scope = f"model.vision_tower.encoder.layers.{layer}"
        projections = [f"{scope}.self_attn.{name}_proj" for name in "qkv"]
        plant(tensors, f"{scope}.layer_norm1", projections, channels)
        plant(tensors, f"{scope}.layer_norm2", [f"{scope}.mlp.fc1"], channels)
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    return export_bundle(checkpoint, folder / "bundle", llm=qwen3_bundle.llm_path)


def test_planted_outliers_break_naive_int8_and_not_ours(
    outlier_bundle: Bundle, qwen3_bundle: Bundle, pictures: Path, tmp_path: Path
) -> None:
    with VisionEncoder(outlier_bundle) as planted, VisionEncoder(qwen3_bundle) as plain:
        one, other = (encoder.encode(pictures / "0.png").embeddings for encoder in (planted, plain))
    np.testing.assert_allclose(one, other, atol=2e-4)  # the outliers change nothing in FP32
    calibrated = calibrate_bundle(copy_of(outlier_bundle, tmp_path / "bundle"), [pictures], threads=1)
    for kind in KINDS:
        naive, smoothed, *_, last = calibrated.report.flavours[kind].steps
        assert naive.agreement.lowest_cosine < 0.999
        assert smoothed.agreement.lowest_cosine > naive.agreement.lowest_cosine
        assert last.agreement.reaches(calibrated.report.threshold)
    for mode in MODES:
        assert min(cosines(calibrated.bundle, draw_pictures(tmp_path / "others", 4, seed=3), mode)) >= 0.999


def test_verify_refuses_naive_int8_with_outliers_and_trusts_ours(
    outlier_bundle: Bundle, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [pictures / "0.png", pictures / "1.png"]
    ours = calibrate_bundle(copy_of(outlier_bundle, tmp_path / "ours"), [pictures], threads=1).bundle

    def unchanged(prepared: Prepared, plan: Plan, *, symmetric: bool) -> Plan:
        return plan

    monkeypatch.setattr(Prepared, "goal", Threshold(cosine=0, token_cosine=0))
    for step in ("_smoothed", "_ranged"):
        monkeypatch.setattr(flavours, step, unchanged)
    naive = calibrate_bundle(copy_of(outlier_bundle, tmp_path / "naive"), [pictures], threads=1).bundle
    for bundle, passed in ((ours, True), (naive, False)):
        report = verify_bundle(bundle, engine="onnxruntime", precision="int8", images=shown, question=None, threads=1)
        assert report.passed == passed, report.failures


@pytest.mark.parametrize(("needed", "kept"), [(0, ()), (1, ("b",)), (2, ("b", "c")), (9, ("b", "c", "a"))])
def test_layers_are_put_back_one_by_one_worst_first_until_the_threshold_holds(
    needed: int, kept: tuple[str, ...]
) -> None:
    asked = []

    def agreement(plan: Plan) -> Agreement:
        return Agreement(1.0 if len(plan.kept) >= needed else 0.5, 1.0, 1.0, 0.0, "a view")

    def measure(plan: Plan) -> Agreement:
        asked.append(plan.kept)
        return agreement(plan)

    start = Plan({}, {})
    settled = put_back(start, agreement(start), {"a": 0.1, "b": 0.3, "c": 0.2}, Threshold(cosine=0.999), measure)
    assert settled.plan.kept == kept
    assert asked == [kept[: count + 1] for count in range(len(kept))]


def test_a_layer_that_the_fp16_graph_keeps_in_fp32_gets_fp32_scales(
    qwen3_checkpoint: Path, qwen3_bundle: Bundle, pictures: Path, tmp_path: Path
) -> None:
    checkpoint = Path(shutil.copytree(qwen3_checkpoint, tmp_path / "checkpoint"))
    tensors = load_file(checkpoint / "model.safetensors")
    scope = "model.vision_tower.encoder.layers.1.self_attn"
    tensors[f"{scope}.q_proj.weight"] *= 1e4
    tensors[f"{scope}.q_proj.bias"] *= 1e4
    tensors[f"{scope}.k_proj.weight"] /= 1e4
    tensors[f"{scope}.k_proj.bias"] /= 1e4
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    bundle = export_bundle(checkpoint, tmp_path / "bundle", llm=qwen3_bundle.llm_path)
    calibrated = calibrate_bundle(bundle, [pictures / "0.png", pictures / "1.png"], max_slices=1, threads=1)
    encoder, _ = load(calibrated.bundle, "16x", "int8-tensorrt")
    onnx.checker.check_model(encoder, full_check=True)
    scales = {name: array.dtype for name, array in weights_of(encoder).items() if name.endswith(".weight_scales")}
    full = {name for name, dtype in scales.items() if dtype == np.float32}
    assert "vision_tower.encoder.layers.1.self_attn.q_proj.weight_scales" in full
    assert "vision_tower.encoder.layers.1.self_attn.v_proj.weight_scales" in scales.keys() - full
    assert calibrated.report.flavours["int8-tensorrt"].steps[0].agreement.lowest_cosine > 0.99


def test_an_unreachable_goal_puts_every_layer_back(qwen3_bundle: Bundle, pictures: Path, tmp_path: Path) -> None:
    bundle = copy_of(qwen3_bundle, tmp_path / "bundle")
    report = calibrate_bundle(bundle, [pictures / "1.png"], max_slices=1, cosine=1.0, threads=1).report
    assert report.goal.cosine == 1.0
    assert len(report.flavours["int8"].put_back) == 26
    assert report.flavours["int8"].steps[-1].agreement.lowest_cosine == pytest.approx(1, abs=1e-6)


def test_the_command_prints_the_table_and_json(
    qwen3_bundle: Bundle, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = copy_of(qwen3_bundle, tmp_path / "bundle")
    arguments = ["calibrate", str(bundle.path), str(pictures / "1.png"), "--max-slices", "1", "--threads", "1"]
    assert exit_code(arguments) == 0
    printed = capsys.readouterr()
    assert "layers put back" in printed.out
    assert "which had to do for measuring as well" in printed.out
    assert "16x (fp32, fp16, int8, int8-tensorrt)" in printed.out
    assert "smoothing" in printed.err
    assert exit_code([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calibrated_with"] == ["1.png"]
    assert "int8-tensorrt" in Bundle.open(bundle.path).describe_graphs()
