"""Encoding: which patches an embedding is made of, in which batches, and what is refused."""

from __future__ import annotations

import contextlib
import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.preprocessing_reference import MODES, theirs
from support.telling_bundle import brittle_above, connector, encoder, telling_bundle
from transformers.vision_utils import get_vision_nearest_position_ids

from uhd_edge.engines.selection import open_onnxruntime
from uhd_edge.runtime import timing as stages
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import EngineError, EngineUnavailableError, ImageError, OptionError
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.vision import opening as tower_opening
from uhd_edge.runtime.vision.encoder import Encoded, VisionEncoder
from uhd_edge.runtime.vision.encoding import BATCH_PATCHES
from uhd_edge.runtime.vision.engine_choice import choose_precision


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return telling_bundle(tmp_path_factory.mktemp("bundles") / "telling")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[int, ...]]]:
    """Shapes of the first input of every run, by the file name of the graph, in order of opening."""
    runs: dict[str, list[tuple[int, ...]]] = {}

    def noting_open(graph: Path, **options: Any) -> Any:
        assert graph.name not in runs, "an engine that is open must not be opened again"
        engine = open_onnxruntime(graph, **options)
        shapes = runs.setdefault(graph.name, [])
        run = engine.run

        def noting_run(inputs: Any) -> Any:
            shapes.append(next(iter(inputs.values())).shape)
            return run(inputs)

        engine.run = noting_run  # type: ignore[method-assign]
        return engine

    monkeypatch.setattr(tower_opening, "open_onnxruntime", noting_open)
    return runs


def photo(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(width * 4001 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def expected_embeddings(image: Image.Image, bundle: Bundle, mode: Mode, max_slices: int) -> list[np.ndarray]:
    """What the telling graphs must say of each view, from transformers' patches and position ids."""
    prepared = theirs(image, bundle.manifest.preprocessing, mode, max_slices)
    return [
        told_row_by_row(patches, rows, columns, mode)
        for patches, (rows, columns) in zip(prepared.patches, prepared.sizes, strict=True)
    ]


def told_row_by_row(patches: np.ndarray, rows: int, columns: int, mode: Mode) -> np.ndarray:
    positions = get_vision_nearest_position_ids(torch.tensor([[rows, columns]]), 70).numpy()
    told = np.concatenate([patches.reshape(-1, 3, 196).mean(axis=2), positions[:, None]], axis=1)
    told = told.reshape(rows, columns, 4)
    block = 4 if mode == "16x" else 2
    tokens = []
    for row, column in itertools.product(range(0, rows, block), range(0, columns, block)):
        square = told[row : row + block, column : column + block]
        tokens.append(windows_of(square) if mode == "16x" else np.tile(square.reshape(4, 4), (1, 4)))
    return np.stack(tokens).reshape(len(tokens), -1)


def windows_of(square: np.ndarray) -> np.ndarray:
    """[4, 4, numbers] -> the four windows row by row, inside each the four patches."""
    corners = [(0, 0), (0, 2), (2, 0), (2, 2)]
    return np.stack([square[row : row + 2, column : column + 2].reshape(4, -1) for row, column in corners])


def split(seen: Encoded) -> list[np.ndarray]:
    return np.split(seen.embeddings, np.cumsum([view.tokens for view in seen.views])[:-1])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    width=st.integers(1, 500),
    height=st.integers(1, 500),
    mode=st.sampled_from(MODES),
    max_slices=st.integers(1, 12),
)
def test_every_embedding_is_made_of_its_own_patches_in_the_reference_order(
    bundle: Bundle, width: int, height: int, mode: Mode, max_slices: int
) -> None:
    with VisionEncoder(bundle, mode=mode, max_slices=max_slices, threads=1) as encoder_:
        seen = encoder_.encode(photo(width, height))
    expected = expected_embeddings(photo(width, height), bundle, mode, max_slices)
    assert seen.embeddings.dtype == np.float32
    assert seen.embeddings.flags.c_contiguous
    assert len(seen.views) == len(expected) == 1 + seen.grid[0] * seen.grid[1]
    for ours, reference in zip(split(seen), expected, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=0, atol=2e-4)


def test_the_views_come_thumbnail_first_with_their_sizes(bundle: Bundle) -> None:
    with VisionEncoder(bundle, threads=1) as encoder_:
        seen = encoder_.encode(photo(300, 200))
    prepared = theirs(photo(300, 200), bundle.manifest.preprocessing, "16x", 9)
    assert [(view.rows, view.columns) for view in seen.views] == prepared.sizes
    assert seen.grid == prepared.grid == (2, 3)
    assert [view.tokens for view in seen.views] == [rows * columns // 16 for rows, columns in prepared.sizes]
    assert seen.mode == "16x"


def test_an_unsliced_image_has_the_grid_zero_zero(bundle: Bundle) -> None:
    with VisionEncoder(bundle, threads=1) as encoder_:
        seen = encoder_.encode(photo(300, 200), max_slices=1)
    assert seen.grid == (0, 0)
    assert len(seen.views) == 1


def test_views_of_one_patch_count_are_one_batch(bundle: Bundle, opened: dict[str, list[tuple[int, ...]]]) -> None:
    with VisionEncoder(bundle, threads=1) as encoder_:
        encoder_.encode(photo(336, 336))  # thumbnail and nine slices, all 8 x 8 patches
        encoder_.encode(photo(400, 100))  # a thumbnail of 4 x 16 and four slices of 8 x 8
        encoder_.encode(photo(400, 150))  # a thumbnail of 4 x 12 and four slices of 8 x 8
    batches = opened["encoder-16x.onnx"]
    assert batches == [(10, 64, 588), (5, 64, 588), (1, 48, 588), (4, 64, 588)]
    assert [shape[0] for shape in opened["connector.onnx"]] == [shape[0] for shape in batches]


def test_a_batch_has_a_bounded_number_of_patches(tmp_path: Path, opened: dict[str, list[tuple[int, ...]]]) -> None:
    large = telling_bundle(tmp_path / "large", scale_resolution=448)
    with VisionEncoder(large, threads=1) as encoder_:
        seen = encoder_.encode(photo(1344, 1344))
    batches = [shape[0] for shape in opened["encoder-16x.onnx"]]
    assert sum(batches) == len(seen.views) == 10
    assert max(batches) == BATCH_PATCHES // 1024 == 2
    for ours, reference in zip(split(seen), expected_embeddings(photo(1344, 1344), large, "16x", 9), strict=True):
        np.testing.assert_allclose(ours, reference, rtol=0, atol=2e-4)


def test_engines_are_opened_when_a_mode_is_first_used_and_the_connector_is_shared(
    bundle: Bundle, opened: dict[str, list[tuple[int, ...]]]
) -> None:
    with VisionEncoder(bundle, threads=1) as encoder_:
        assert list(opened) == []
        encoder_.encode(photo(50, 50))
        assert list(opened) == ["encoder-16x.onnx", "connector.onnx"]
        assert encoder_.encode(photo(50, 50), mode="4x").mode == "4x"
        encoder_.encode(photo(51, 50))
        assert list(opened) == ["encoder-16x.onnx", "connector.onnx", "encoder-4x.onnx"]
        assert len(opened["connector.onnx"]) == 3


def test_a_bad_image_is_told_before_an_engine_is_opened(
    bundle: Bundle, opened: dict[str, list[tuple[int, ...]]]
) -> None:
    with VisionEncoder(bundle) as encoder_, pytest.raises(ImageError, match="no such file"):
        encoder_.encode("nowhere.png")
    assert opened == {}


def test_every_stage_is_timed_in_milliseconds(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that goes on by a second at every look, a stage takes as many seconds as it was entered."""
    clock = itertools.count()
    monkeypatch.setattr(stages.time, "perf_counter", lambda: float(next(clock)))
    with VisionEncoder(bundle, threads=1) as encoder_:
        timings = encoder_.encode(photo(400, 150)).timings
        other = encoder_.encode(photo(401, 150)).timings
        again = encoder_.encode(photo(401, 150)).timings
    once, twice = dict.fromkeys(["decode", "slice", "open", "cache"], 1000), {"patches", "encoder", "connector"}
    assert timings == once | dict.fromkeys(twice, 2000)
    assert other == timings | {"open": 0}
    assert again == other | dict.fromkeys(twice, 0)


def white_spot_in_the_third_slice() -> Image.Image:
    """One patch of one slice is white; in the thumbnail the spot is too small to fill a patch."""
    image = Image.new("RGB", (336, 224), "black")
    image.paste("white", (238, 14, 252, 28))
    return image


@pytest.mark.parametrize("part", ["encoder", "connector"])
def test_nan_is_refused_with_the_name_of_the_engine_and_the_view(tmp_path: Path, part: str) -> None:
    brittle = telling_bundle(tmp_path / "brittle", table_side=1)  # every position id is 0
    file, graph = {"encoder": ("encoder-16x", encoder("16x")), "connector": ("connector", connector())}[part]
    onnx.save(brittle_above(graph, 0.9), brittle.path / f"graphs/{file}.onnx")
    told = rf"the {part} \(CPUExecutionProvider, 16x, fp32\) returned NaN or Inf for "
    with VisionEncoder(brittle, threads=1) as encoder_:
        with pytest.raises(EngineError, match=told + "slice 3 of 6"):
            encoder_.encode(white_spot_in_the_third_slice())
        with pytest.raises(EngineError, match=told + "the thumbnail"):
            encoder_.encode(Image.new("RGB", (50, 50), "white"))
        assert np.isfinite(encoder_.encode(Image.new("RGB", (50, 50))).embeddings).all()


def test_embeddings_of_another_width_than_the_language_model_are_refused(tmp_path: Path) -> None:
    narrow = telling_bundle(tmp_path / "narrow", width=96)
    with VisionEncoder(narrow, threads=1) as encoder_, pytest.raises(EngineError) as caught:
        encoder_.encode(photo(50, 50))
    assert "returned float32 [1, 4, 64] instead of float32 [1, 4, 96]" in str(caught.value)


@pytest.mark.parametrize(("width", "height"), [(4000, 1), (1, 4000), (1, 2_000_000), (2_000_000, 1)])
def test_an_image_as_thin_as_a_thread_is_encoded_or_refused_in_one_line(
    tmp_path: Path, width: int, height: int
) -> None:
    real_size = telling_bundle(tmp_path / "real", scale_resolution=448)
    with VisionEncoder(real_size, threads=1) as encoder_:
        if width == 2_000_000:  # the reference rounds the height to nothing and makes single blocks of it
            assert {(view.rows, view.columns) for view in encoder_.encode(photo(width, height)).views} == {(4, 4)}
            return
        with pytest.raises(ImageError, match=rf"{width} x {height} pixels is too thin: .* over the limit of 4096"):
            encoder_.encode(photo(width, height))


def test_an_ordinary_view_of_a_large_scale_resolution_is_not_called_too_thin(tmp_path: Path) -> None:
    large = telling_bundle(tmp_path / "large", scale_resolution=980)
    with VisionEncoder(large, threads=1) as encoder_:
        assert encoder_.encode(photo(400, 400)).views[0].rows == 72


def test_modes_precisions_engines_and_slices_are_checked_when_the_encoder_is_made(bundle: Bundle) -> None:
    wrong: Any
    for wrong, told in (
        ({"mode": "8x"}, r"no 8x graphs; the bundle has 16x \(fp32\), 4x \(fp32\)"),
        ({"precision": "int8"}, r"no 16x graphs in int8; the bundle has 16x \(fp32\)"),
        ({"engine": "tensorrt"}, "the bundle has no TensorRT engines for 16x; build them with `uhd build"),
    ):
        with pytest.raises(EngineUnavailableError, match=told):
            VisionEncoder(bundle, **wrong)
    with pytest.raises(ImageError, match="max_slices is 0"):
        VisionEncoder(bundle, max_slices=0)
    for wrong in ("3", 2.5, True, -1, [2]):
        with pytest.raises(ImageError, match=r"max_slices is .*; it must be 1"):
            VisionEncoder(bundle, max_slices=wrong)
    for wrong in (0, "2", 1.5, 10**6):
        with pytest.raises(OptionError, match="threads is "):
            VisionEncoder(bundle, threads=wrong)


def test_numpys_whole_numbers_are_whole_numbers(bundle: Bundle) -> None:
    two: Any = np.int64(2)
    with VisionEncoder(bundle, max_slices=two, threads=two) as encoder_:
        assert len(encoder_.encode(photo(336, 336)).views) == 3
        assert len(encoder_.encode(photo(336, 336), max_slices=two * 2).views) == 5


def test_an_engine_is_opened_once_for_all_threads(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    together = threading.Barrier(4)

    def slow_open(graph: Path, **options: Any) -> Any:
        opened.append(graph.name)
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(timeout=0.2)  # whoever else opens it gets the time to come here too
        return open_onnxruntime(graph, **options)

    monkeypatch.setattr(tower_opening, "open_onnxruntime", slow_open)
    found: list[np.ndarray] = []
    with VisionEncoder(bundle, threads=1) as encoder_:
        threads = [
            threading.Thread(target=lambda: found.append(encoder_.encode(photo(50, 50)).embeddings)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert opened == ["encoder-16x.onnx", "connector.onnx"]
    assert len(found) == 4
    assert all(np.array_equal(embeddings, found[0]) for embeddings in found)


def test_modes_and_slices_of_one_request_are_checked_too(bundle: Bundle) -> None:
    wrong: Any = "8x"
    with VisionEncoder(bundle) as encoder_:
        with pytest.raises(EngineUnavailableError, match="no 8x graphs"):
            encoder_.encode(photo(50, 50), mode=wrong)
        with pytest.raises(ImageError, match="max_slices is -1"):
            encoder_.encode(photo(50, 50), max_slices=-1)


def test_precision_auto_is_the_most_exact_one_there_is(bundle: Bundle) -> None:
    graphs = bundle.manifest.graphs["16x"]["fp32"]
    for there, chosen in ((("int8", "fp16", "fp32"), "fp32"), (("int8", "fp16"), "fp16"), (("int8",), "int8")):
        manifest = bundle.manifest.model_copy(update={"graphs": {"16x": dict.fromkeys(there, graphs)}})
        assert choose_precision(Bundle(bundle.path, manifest), "16x", "auto") == chosen


def test_a_closed_encoder_says_so(bundle: Bundle) -> None:
    encoder_ = VisionEncoder(bundle, threads=1)
    encoder_.encode(photo(50, 50))
    encoder_.close()
    encoder_.close()
    with pytest.raises(EngineError, match="the vision encoder is closed"):
        encoder_.encode(photo(50, 50))


def test_a_damaged_graph_is_an_error_of_ours(tmp_path: Path) -> None:
    damaged = telling_bundle(tmp_path / "damaged")
    (damaged.path / "graphs/encoder-16x.onnx").write_bytes(b"damaged")
    with (
        VisionEncoder(damaged, threads=1) as encoder_,
        pytest.raises(EngineError, match="cannot be opened"),
    ):
        encoder_.encode(photo(50, 50))
