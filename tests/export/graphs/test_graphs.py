"""What lies on disk after an export of the graphs, and what is refused."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING, get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file

from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.graphs.graphs import write_graphs
from uhd_edge.runtime.bundles.manifest import Graphs
from uhd_edge.runtime.errors import CheckpointError, ExportError, OutputError
from uhd_edge.runtime.modes import Mode, Precision

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MODES: tuple[Mode, ...] = get_args(Mode)
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")


def write(
    checkpoint: Path, target: Path, modes: Sequence[Mode] = MODES, precisions: Sequence[Precision] = PRECISIONS
) -> dict[Mode, dict[Precision, Graphs]]:
    with open_checkpoint(checkpoint) as opened:
        return write_graphs(opened, target, modes=modes, precisions=precisions, progress=lambda _: None)


@pytest.fixture(scope="module")
def graphs(qwen3_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("written")
    write(qwen3_checkpoint, target)
    return target / "graphs"


@pytest.fixture
def changed(qwen3_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint to break."""
    return shutil.copytree(qwen3_checkpoint, tmp_path / "changed")


def change_tensor(folder: Path, name: str, value: float) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[name].view(-1)[3] = value
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def load(file: Path) -> onnx.ModelProto:
    return onnx.load(file, load_external_data=False)


def places(model: onnx.ModelProto) -> dict[str, dict[str, str]]:
    """Where the weights of a graph lie: file, offset and length by name."""
    return {
        tensor.name: {entry.key: entry.value for entry in tensor.external_data}
        for tensor in model.graph.initializer
        if tensor.external_data
    }


def names_in(graphs: Path) -> list[str]:
    return sorted(file.name for file in graphs.glob("*.onnx"))


def test_there_is_one_encoder_and_one_connector_for_both_modes(graphs: Path) -> None:
    assert names_in(graphs) == [
        "connector-fp16.onnx",
        "connector-fp32.onnx",
        "encoder-fp16.onnx",
        "encoder-fp32.onnx",
    ]


def test_every_graph_passes_the_full_onnx_checker(graphs: Path) -> None:
    for name in names_in(graphs):
        onnx.checker.check_model(str(graphs / name), full_check=True)


def test_graphs_keep_to_the_opset_that_tensorrt_10_3_and_onnx_runtime_1_20_read(graphs: Path) -> None:
    for name in names_in(graphs):
        model = load(graphs / name)
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
        assert model.ir_version <= 10


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_encoder_names_every_byte_of_its_weight_file_once(graphs: Path, precision: Precision) -> None:
    named = places(load(graphs / f"encoder-{precision}.onnx"))
    assert {place["location"] for place in named.values()} == {f"encoder-{precision}.weights"}
    taken = sorted((int(place["offset"]), int(place["offset"]) + int(place["length"])) for place in named.values())
    assert all(0 <= start - end < 64 for (_, end), (start, _) in itertools.pairwise(taken))
    assert taken[-1][1] == (graphs / f"encoder-{precision}.weights").stat().st_size


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("mode", MODES)
def test_the_encoder_of_both_modes_computes_what_that_of_one_mode_does(
    graphs: Path, qwen3_checkpoint: Path, tmp_path: Path, mode: Mode, precision: Precision
) -> None:
    write(qwen3_checkpoint, tmp_path, [mode], [precision])
    random = np.random.default_rng(0)
    patches = random.uniform(-1, 1, (2, 32, 588)).astype(np.float32)
    inputs = {"patches": patches, "position_ids": random.integers(0, 4900, (2, 32))}
    alone = onnxruntime.InferenceSession(tmp_path / "graphs" / f"encoder-{mode}-{precision}.onnx")
    shared = onnxruntime.InferenceSession(graphs / f"encoder-{precision}.onnx")
    chosen = {"uncompressed": np.full((2, 0 if mode == "16x" else 8), -7)}  # the numbers are not read
    (expected,), (found,) = alone.run(None, inputs), shared.run(None, inputs | chosen)
    # In 4x, ONNX Runtime fuses a sum with the norm behind it where nothing stands between them.
    assert np.abs(found - expected).max() <= (0 if mode == "16x" else 1e-5 * np.abs(expected).max())


def test_every_weight_of_the_vision_side_is_in_the_fp32_graphs(graphs: Path, qwen3_checkpoint: Path) -> None:
    named = {*places(load(graphs / "encoder-fp32.onnx")), *places(load(graphs / "connector-fp32.onnx"))}
    with open_checkpoint(qwen3_checkpoint) as checkpoint:
        expected = {name.removeprefix("model.") for name in checkpoint.names}
    assert named == {name for name in expected if name.startswith(("vision_tower.", "merger."))}


def test_weights_of_products_take_half_the_room_in_fp16(graphs: Path) -> None:
    full, half = (places(load(graphs / f"encoder-{precision}.onnx")) for precision in PRECISIONS)
    products = [node.input[1] for node in load(graphs / "encoder-fp16.onnx").graph.node if node.op_type == "MatMul"]
    weights = [name for name in products if name in full]
    assert len(weights) == 1 + 3 * 6 + 6
    assert all(2 * int(half[name]["length"]) == int(full[name]["length"]) for name in weights)


def test_batch_and_patch_count_are_dynamic_and_everything_outside_is_float32(graphs: Path) -> None:
    def described(value: onnx.ValueInfoProto) -> tuple[str, int, list[str | int]]:
        kind = value.type.tensor_type
        return value.name, kind.elem_type, [axis.dim_param or axis.dim_value for axis in kind.shape.dim]

    for name in names_in(graphs):
        graph = load(graphs / name).graph
        expected = {
            "patches": ("patches", onnx.TensorProto.FLOAT, ["batch", "patches", 588]),
            "position_ids": ("position_ids", onnx.TensorProto.INT64, ["batch", "patches"]),
            "embeddings": ("embeddings", onnx.TensorProto.FLOAT, ["batch", "tokens", 64]),
            "features": ("features", onnx.TensorProto.FLOAT, ["batch", "features", 48]),
            "uncompressed": ("uncompressed", onnx.TensorProto.INT64, ["batch", "uncompressed"]),
        }
        for value in (*graph.input, *graph.output):
            assert described(value) == expected[value.name]


def test_nothing_of_this_machine_is_left_in_a_graph(graphs: Path, qwen3_checkpoint: Path) -> None:
    for name in names_in(graphs):
        content = (graphs / name).read_bytes()
        assert not any(text in content for text in (b"/tmp", b"/home", b"site-packages", b".py", b"torch"))
        assert str(qwen3_checkpoint).encode() not in content
        model = load(graphs / name)
        assert not model.metadata_props
        assert not model.doc_string
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_exporting_twice_writes_the_same_bytes(graphs: Path, qwen3_checkpoint: Path, tmp_path: Path) -> None:
    write(qwen3_checkpoint, tmp_path)
    for file in graphs.iterdir():
        assert (tmp_path / "graphs" / file.name).read_bytes() == file.read_bytes()


def test_reshapes_have_constant_targets(graphs: Path) -> None:
    for name in names_in(graphs):
        graph = load(graphs / name).graph
        constants = {tensor.name for tensor in graph.initializer}
        assert all(node.input[1] in constants for node in graph.node if node.op_type in {"Reshape", "ReduceMean"})
        # Sizes are computed where the modes part, and nowhere else.
        sizes = [node.name for node in graph.node if node.op_type in {"Shape", "Concat", "Constant", "Identity"}]
        assert [name for name in sizes if not name.startswith("vision_tower.vit_merger/")] == []
        assert len(sizes) == (0 if "connector" in name else 3)


def test_only_what_is_asked_for_is_written_and_named(qwen3_checkpoint: Path, tmp_path: Path) -> None:
    written = write(qwen3_checkpoint, tmp_path, ["4x"], ["fp16"])
    assert written == {
        "4x": {"fp16": Graphs(encoder="graphs/encoder-4x-fp16.onnx", connector="graphs/connector-fp16.onnx")}
    }
    assert names_in(tmp_path / "graphs") == ["connector-fp16.onnx", "encoder-4x-fp16.onnx"]
    assert not any(".vit_merger." in name for name in places(load(tmp_path / "graphs" / "encoder-4x-fp16.onnx")))


def test_progress_tells_each_graph(qwen3_checkpoint: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    with open_checkpoint(qwen3_checkpoint) as checkpoint:
        write_graphs(checkpoint, tmp_path, modes=MODES, precisions=["fp32"], progress=steps.append)
    assert steps == ["connector fp32", "encoder fp32"]


def test_bf16_weights_become_the_same_numbers_in_fp32(changed: Path, tmp_path: Path) -> None:
    tensors = load_file(changed / "model.safetensors")
    save_file({name: tensor.bfloat16() for name, tensor in tensors.items()}, changed / "model.safetensors")
    write(changed, tmp_path, ["16x"], ["fp32"])
    model = onnx.load(tmp_path / "graphs" / "encoder-16x-fp32.onnx")
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    name = "vision_tower.encoder.layers.1.mlp.fc1.weight"
    expected = tensors[f"model.{name}"].bfloat16().float().T
    assert torch.equal(torch.tensor(stored[name]), expected)


def test_int8_is_left_to_the_quantizer(qwen3_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="fp32 and fp16, not int8"):
        write(qwen3_checkpoint, tmp_path, precisions=["int8"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_named(changed: Path, tmp_path: Path, value: float) -> None:
    change_tensor(changed, "model.merger.mlp.0.linear_1.weight", value)
    with pytest.raises(
        CheckpointError,
        match=r"^/.*model\.safetensors: model\.merger\.mlp\.0\.linear_1\.weight: 1 of .* NaN",
    ):
        write(changed, tmp_path, precisions=["fp32"])


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_weight_that_is_no_number_is_the_checkpoints_fault_in_fp16_too(
    changed: Path, tmp_path: Path, value: float
) -> None:
    change_tensor(changed, "model.vision_tower.encoder.layers.0.self_attn.q_proj.weight", value)
    with pytest.raises(CheckpointError, match=r"0\.self_attn\.q_proj\.weight: 1 of \d+ numbers are NaN or infinite"):
        write(changed, tmp_path, precisions=["fp16"])


def test_a_weight_too_large_for_fp16_stays_in_fp32(changed: Path, tmp_path: Path) -> None:
    name = "vision_tower.encoder.layers.1.mlp.fc1.weight"

    def stored() -> np.ndarray:
        write(changed, tmp_path, modes=["16x"], precisions=["fp16"])
        model = onnx.load(tmp_path / "graphs" / "encoder-16x-fp16.onnx")
        return next(onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == name)

    assert stored().dtype == np.float16
    change_tensor(changed, f"model.{name}", 7e4)
    shutil.rmtree(tmp_path / "graphs")
    assert stored().dtype == np.float32
    assert stored().max() == np.float32(7e4)


def test_a_folder_that_cannot_be_written_is_an_output_error(qwen3_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write(qwen3_checkpoint, tmp_path / "file")
