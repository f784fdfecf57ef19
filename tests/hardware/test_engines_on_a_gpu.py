"""TensorRT engines on a real GPU: built, verified, run, repeated, refused and released."""

from __future__ import annotations

import importlib
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.building.engine_record import find_engines, write_record
from uhd_edge.engines.errors import EngineError, EngineRefusedError, EngineUnavailableError
from uhd_edge.engines.onnxruntime import CPU, CUDA, OnnxRuntimeEngine, offered_providers
from uhd_edge.engines.selection import open_onnxruntime
from uhd_edge.engines.tensorrt.engine import TensorRtEngine
from uhd_edge.engines.tensorrt.gpu import first_gpu
from uhd_edge.engines.tensorrt.library import NAMES
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.checking.verify import verify_bundle
from uhd_edge.runtime.vision.encoder import VisionEncoder

if TYPE_CHECKING:
    from support.hardware.builds import Built


def why_not() -> str:
    """Why nothing here can be run, empty where it can."""
    try:
        first_gpu()
    except EngineUnavailableError as error:
        return str(error).partition(";")[0]
    return ""


pytestmark = pytest.mark.skipif(why_not() != "", reason=f"needs a GPU, see `make test-gpu`: {why_not()}")


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height))


def encoder_of(built: Built) -> VisionEncoder:
    return VisionEncoder(built.bundle, engine=built.backend, precision=built.precision)


def test_engines_reach_the_thresholds_of_the_bundle(any_built: Built, pictures: list[Path]) -> None:
    built = any_built
    report = verify_bundle(built.bundle, engine=built.backend, precision=built.precision, images=pictures)
    for view in report.views:
        print(view)
    assert {verified.provider for verified in report.verified} == {NAMES[built.backend]}
    assert report.failures == ()


def test_the_command_line_verifies_them_too(built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["verify", str(built.bundle.path), "--engine", built.backend, "--precision", built.precision]
    assert exit_code(command) == 0
    assert NAMES[built.backend] in capsys.readouterr().out


def test_auto_compares_them_once_and_then_has_nothing_to_explain(built: Built) -> None:
    with VisionEncoder(built.bundle, precision=built.precision) as encoder:
        assert encoder.open_mode(encoder.mode).encoder.provider == NAMES[built.backend]
    with VisionEncoder(built.bundle, precision=built.precision) as encoder:
        assert encoder.open_mode(encoder.mode).encoder.provider == NAMES[built.backend]
        assert encoder.notes == []


def test_a_captured_run_equals_the_run_before_it(built: Built) -> None:
    """The first run of a shape is plain, the second is captured after it, the third is a launched graph."""
    with encoder_of(built) as encoder:
        runs = [encoder.encode(photo(900, 600)).embeddings for _ in range(6)]
    for later in runs[1:]:
        # Kernels may differ once TensorRT-RTX has specialized them for the shape.
        np.testing.assert_allclose(later, runs[0], rtol=2e-2, atol=2e-2 * float(np.abs(runs[0]).max()))
    np.testing.assert_array_equal(runs[-1], runs[-2])


def test_a_captured_graph_reads_the_new_picture(built: Built) -> None:
    with encoder_of(built) as encoder:
        for seed in range(6):
            encoder.encode(photo(900, 600, seed))
        again = encoder.encode(photo(900, 600, 0)).embeddings
        other = encoder.encode(photo(900, 600, 1)).embeddings
    assert np.abs(again - other).max() > 1e-2


def test_shapes_in_any_order_give_what_they_give_alone(built: Built) -> None:
    sizes = [(900, 600), (300, 300), (200, 1200), (1600, 900), (640, 480), (500, 501), (90, 40)]
    alone = {}
    for size in sizes:
        with encoder_of(built) as encoder:
            alone[size] = encoder.encode(photo(*size)).embeddings
    order = np.random.default_rng(0).permutation(len(sizes) * 4) % len(sizes)
    with encoder_of(built) as encoder:
        for index in order:
            seen = encoder.encode(photo(*sizes[index])).embeddings
            expected = alone[sizes[index]]
            np.testing.assert_allclose(seen, expected, rtol=2e-2, atol=2e-2 * float(np.abs(expected).max()))


def test_runs_from_several_threads_take_turns(built: Built) -> None:
    with encoder_of(built) as encoder:
        expected = [encoder.encode(photo(400, 300, seed)).embeddings for seed in range(4)]
        found: dict[int, np.ndarray] = {}
        threads = [
            threading.Thread(
                target=lambda seed=seed: found.update({seed: encoder.encode(photo(400, 300, seed)).embeddings})
            )
            for seed in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for seed, embeddings in enumerate(expected):
        np.testing.assert_allclose(found[seed], embeddings, rtol=2e-2, atol=2e-2 * float(np.abs(embeddings).max()))


def test_closing_gives_the_memory_back(built: Built) -> None:
    driver = importlib.import_module("pycuda.driver")
    record = find_engines(built.bundle.path)[0]
    TensorRtEngine(record.path, backend=built.backend).close()  # what CUDA keeps for itself is kept by now
    context = driver.Device(0).retain_primary_context()
    context.push()
    try:
        before, _ = driver.mem_get_info()
        for _ in range(5):
            TensorRtEngine(record.path, backend=built.backend).close()
        after, _ = driver.mem_get_info()
    finally:
        driver.Context.pop()
    assert before - after < 32 << 20


def test_a_view_larger_than_it_was_built_for_is_told(built: Built) -> None:
    record = next(record for record in find_engines(built.bundle.path) if "encoder" in record.path.name)
    with TensorRtEngine(record.path, backend=built.backend) as engine:
        values = record.profiles[0]["patches"].largest[2]
        inputs = {
            "patches": np.zeros((1, 1 << 16, values), np.float32),
            "position_ids": np.zeros((1, 1 << 16), np.int64),
            **({"uncompressed": np.zeros((1, 0), np.int64)} if "uncompressed" in record.profiles[0] else {}),
        }
        with pytest.raises(EngineError, match="build it again, with a larger --largest-view"):
            engine.run(inputs)


def test_more_views_than_it_was_built_for_go_through_in_several_runs(built: Built) -> None:
    record = next(record for record in find_engines(built.bundle.path) if "connector" in record.path.name)
    most, _, width = record.profiles[0]["features"].largest
    _, usual, _ = record.profiles[0]["features"].usual
    features = np.random.default_rng(0).standard_normal((2 * most + 1, usual, width)).astype(np.float32)
    with TensorRtEngine(record.path, backend=built.backend) as engine:
        (together,) = engine.run({"features": features}).values()
        (last,) = engine.run({"features": features[-1:]}).values()
    assert len(together) == len(features)
    np.testing.assert_allclose(together[-1:], last, rtol=2e-2, atol=2e-2 * float(np.abs(last).max()))


def test_another_version_of_tensorrt_and_another_gpu_are_refused_and_auto_answers(built: Built, tmp_path: Path) -> None:
    for change, reason in (
        ({"backend_version": "9.9.9"}, "was built by"),
        ({"compute_capability": "6.1"}, "was built for a GPU of compute capability 6.1"),
    ):
        folder = tmp_path / next(iter(change))
        shutil.copytree(built.bundle.path, folder)
        for record in find_engines(folder):
            write_record(record.model_copy(update=change))
        copy = Bundle.open(folder)
        strict = VisionEncoder(copy, engine=built.backend, precision=built.precision)
        with strict, pytest.raises(EngineRefusedError, match=reason):
            strict.encode(photo(90, 90))
        with VisionEncoder(copy) as encoder:
            encoder.encode(photo(90, 90))
            assert any(reason in note for note in encoder.notes)


def test_a_file_that_only_looks_like_an_engine_is_an_error_of_ours(built: Built, tmp_path: Path) -> None:
    record = find_engines(built.bundle.path)[0]
    content = record.path.read_bytes()
    for name, damage in (("short", content[: len(content) // 2]), ("noise", b"\x00" * 4096), ("empty", b"")):
        file = tmp_path / f"{name}.engine"
        file.write_bytes(damage)
        with pytest.raises(EngineError, match=f"{name}.engine"):
            TensorRtEngine(file, backend=built.backend)


def test_a_question_is_answered_with_them(built: Built, pictures: list[Path]) -> None:
    picture = pictures[0] if pictures else photo(448, 448)
    with Assistant(built.bundle, engine=built.backend, precision=built.precision) as assistant:
        answer = assistant.ask(picture, "What is in the image?", max_tokens=16)
    assert answer.usage.completion_tokens > 0
    print({stage: round(milliseconds, 1) for stage, milliseconds in answer.timings_ms.items()})


def test_onnxruntime_really_uses_the_gpu_where_it_offers_to() -> None:
    if CUDA not in offered_providers():
        pytest.skip("onnxruntime-gpu is not installed (on a Jetson it comes from NVIDIA's index)")
    bundle = Bundle.open()
    encoder, _ = bundle.graphs(bundle.manifest.default_mode, "fp32")
    told: list[str] = []
    with open_onnxruntime(encoder, tell=told.append) as engine:
        assert engine.provider == CUDA, told
    with OnnxRuntimeEngine(encoder, providers=(CPU,)) as engine:
        assert engine.provider == CPU
