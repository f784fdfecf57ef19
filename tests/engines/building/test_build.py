"""Building engines ahead of time, really, with TensorRT-RTX: it needs no GPU."""

from __future__ import annotations

import fcntl
import os
import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.checkpoints import TinyCheckpoint, save_checkpoint
from support.int8 import copy_of, draw_pictures
from support.linear_graph import build, order, save_linear, what_is_in

from uhd_edge.calibration.calibrate import calibrate_bundle
from uhd_edge.engines.building import builder as tensorrt_builder
from uhd_edge.engines.building.build import EngineOrder
from uhd_edge.engines.building.builder import check_graph
from uhd_edge.engines.building.engine_record import check_fits, find_engines, read_digest
from uhd_edge.engines.building.profiles import ShapeRange
from uhd_edge.engines.building.targets import find_target
from uhd_edge.engines.errors import EngineBuildError, EngineError
from uhd_edge.export.export import export_bundle
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.checking.building import engine_orders

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import DTypeLike

    from uhd_edge.engines.building.targets import BuiltPrecision
    from uhd_edge.runtime.bundles.manifest import GraphKind

tensorrt_rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for x86-64 alone")

MID_SIZE = TinyCheckpoint(
    vision_hidden=432, vision_intermediate=1614, vision_layers=3, vision_heads=6, insert_layer=1, text_layers=1
)
# `test_int8_plans` builds INT8 for every card, and the commands of docs/engines.md FP16 for rtx-40.
BUILT = (("rtx-50", "int8"),)


@pytest.fixture(scope="module")
def uhd_tiny(calibrated_tiny: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A copy of the built-in bundle, in FP16 and INT8, to build engines in."""
    return copy_of(calibrated_tiny, tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture(scope="module")
def mid_size(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with a tower between uhd-tiny's and the real one, in FP16 and INT8."""
    folder = tmp_path_factory.mktemp("mid-size")
    checkpoint = save_checkpoint(folder / "checkpoint", MID_SIZE)
    bundle = export_bundle(checkpoint, folder / "bundle", llm_type="f32", modes=["16x"])
    return calibrate_bundle(bundle, draw_pictures(folder / "pictures", 1, seed=1), max_slices=1).bundle


@pytest.mark.parametrize(("target", "precision"), BUILT)
def test_engines_of_uhd_tiny_are_built_for_rtx_cards_without_one(
    uhd_tiny: Bundle, target: str, precision: BuiltPrecision
) -> None:
    orders = engine_orders(uhd_tiny, modes=["16x", "4x"], precision=precision, max_slices=4)
    records = build(uhd_tiny.path, target, orders)
    assert [record.path.name for record in records] == [
        f"{part}-{precision}.engine" for part in ("encoder", "connector")
    ]
    found = find_engines(uhd_tiny.path)
    assert all(record in found for record in records)
    for record in records:
        assert (record.gpu, record.compute_capability) == (None, find_target(target).compute_capability)
        assert record.engine.bytes > 100_000
        check_fits(
            record,
            graph=uhd_tiny.path / record.graph,
            backend_version=tensorrt_rtx.__version__,
            compute_capability=record.compute_capability,
        )


@pytest.mark.parametrize("tower", ["uhd_tiny", "mid_size"])
@pytest.mark.parametrize("kind", ["fp16", "int8-tensorrt"])
def test_fp16_and_int8_graphs_pass_tensorrts_parser(
    request: pytest.FixtureRequest, tower: str, kind: GraphKind
) -> None:
    for graph in request.getfixturevalue(tower).graphs("16x", kind):
        check_graph(graph, "tensorrt-rtx")


def test_int8_graphs_for_onnxruntime_are_refused(uhd_tiny: Bundle) -> None:
    encoder, _ = uhd_tiny.graphs("16x", "int8")
    with pytest.raises(EngineBuildError, match="TensorRT-RTX rejects the graph"):
        check_graph(encoder, "tensorrt-rtx")


def test_symmetric_int8_passes_the_parser(tmp_path: Path) -> None:
    check_graph(save_linear(tmp_path / "graph.onnx"), "tensorrt-rtx")


@pytest.mark.parametrize(
    ("quantized", "zero_point", "reason"),
    [
        (np.uint8, 128, "Non-zero zero point is not supported"),
        (np.int8, 5, "Non-zero zero point is not supported"),
        (np.uint8, 0, "it is quantized to uint8, and only int8 with zero point 0"),
    ],
    ids=["uint8", "asymmetric", "uint8 with zero point 0"],
)
def test_uint8_and_asymmetric_graphs_are_refused(
    tmp_path: Path, quantized: DTypeLike, zero_point: int, reason: str
) -> None:
    graph = save_linear(tmp_path / "graph.onnx", quantized=quantized, zero_point=zero_point)
    with pytest.raises(EngineBuildError, match=f"graph.onnx: TensorRT-RTX rejects the graph: .*{reason}"):
        check_graph(graph, "tensorrt-rtx")


def test_int8_on_an_fp32_base_is_refused_for_turing_alone_with_the_reason(small: Path) -> None:
    save_linear(small / "graphs" / "linear.onnx", base=np.float32)
    build(small, "rtx-30")
    with pytest.raises(EngineBuildError, match=r"multiplies in FP32.* compute capability 7\.5"):
        build(small, "rtx-20")
    assert what_is_in(small, "rtx-20") == set()


def test_an_engine_is_the_same_bytes_every_time_and_others_for_another_card(small: Path) -> None:
    (first,) = build(small)
    content = first.path.read_bytes()
    (again,) = build(small)
    (other,) = build(small, "rtx-50")
    assert again.path.read_bytes() == content
    assert again == first
    assert other.path.read_bytes() != content


def test_a_graph_that_is_none_is_refused(small: Path) -> None:
    (small / "graphs" / "linear.onnx").write_bytes(b"\x0a\x04none")
    with pytest.raises(EngineBuildError, match=r"cannot build it.*at least one output\.\)$"):
        build(small)
    (small / "graphs" / "linear.onnx").unlink()
    with pytest.raises(EngineError, match="cannot be read"):
        build(small)


def test_a_shape_that_the_graph_does_not_have_is_refused(small: Path) -> None:
    wrong = EngineOrder(
        "linear", "graphs/linear.onnx", "int8", ({"x": ShapeRange((1, 4, 65), (1, 4, 65), (1, 4, 65))},)
    )
    with pytest.raises(EngineBuildError, match=r"linear\.onnx: TensorRT-RTX "):
        build(small, orders=[wrong])
    assert what_is_in(small, "rtx-40") == set()


def test_a_failed_build_keeps_the_engines_finished_before(small: Path) -> None:
    bad = EngineOrder("bad", "graphs/linear.onnx", "int8", ({"y": ShapeRange((1,), (1,), (1,))},))
    with pytest.raises(EngineBuildError):
        build(small, orders=[order(), bad])
    assert what_is_in(small, "rtx-40") == {"linear.engine", "linear.engine.json"}


def test_what_was_built_before_stays_in_use_until_the_new_engine_is_whole(small: Path) -> None:
    build(small)
    record = find_engines(small)
    failing = EngineOrder("linear", "graphs/linear.onnx", "int8", ({"y": ShapeRange((1,), (1,), (1,))},))
    with pytest.raises(EngineBuildError):
        build(small, orders=[failing])
    assert find_engines(small) == record
    assert read_digest(record[0].path) == record[0].engine


def interrupt_once(logger: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C when TensorRT calls back into Python first, where an exception would not get through."""
    heard: list[str] = []

    class Interrupting(logger):  # type: ignore[misc]
        def log(self, _severity: object, text: str) -> None:
            heard.append(text)
            if len(heard) == 1:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(tensorrt_builder, "_listening_logger", lambda *_: Interrupting())


def test_an_interrupt_ends_a_build_at_its_next_step(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_once(type(tensorrt_builder._listening_logger(tensorrt_rtx, [])), monkeypatch)
    with pytest.raises(KeyboardInterrupt) as caught:
        build(small)
    assert "cannot build it" in str(caught.value.__context__)
    assert what_is_in(small, "rtx-40") == set()


def test_an_interrupt_while_a_graph_is_parsed_comes_out(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_once(type(tensorrt_builder._listening_logger(tensorrt_rtx, [])), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        check_graph(small / "graphs/linear.onnx", "tensorrt-rtx")


def test_what_a_killed_build_left_is_removed(small: Path) -> None:
    folder = small / "engines" / "rtx-40"
    folder.mkdir(parents=True)
    for left in (".linear.engine.partial", ".timing.cache.1a2b", "other.engine"):
        (folder / left).write_bytes(b"half")
    for kept in ("mine.engine", "mine.engine.json", "timing.cache"):
        (folder / kept).write_bytes(b"whole")
    build(small)
    built = {"linear.engine", "linear.engine.json", "mine.engine", "mine.engine.json", "timing.cache"}
    assert what_is_in(small, "rtx-40") == built


def test_two_builds_do_not_write_into_one_folder(small: Path) -> None:
    folder = small / "engines" / "rtx-40"
    folder.mkdir(parents=True)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(EngineBuildError, match="another build is writing there"):
            build(small)
    finally:
        os.close(held)


def test_a_folder_that_cannot_be_written_is_named(small: Path) -> None:
    (small / "engines").write_text("a file")
    with pytest.raises(EngineBuildError, match=r"engines.*cannot be written"):
        build(small)
