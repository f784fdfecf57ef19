"""Bundles of random weights in given sizes: whole, the same every time, made once."""

from __future__ import annotations

from dataclasses import replace
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
from support.language_models.small_hybrid import SMALL_HYBRID

from uhd_edge.bench.synthetic.bundle import (
    MODELS,
    SyntheticModel,
    open_synthetic_bundle,
    synthetic_bundle,
    tower_config,
)
from uhd_edge.bench.synthetic.random_hybrid import RandomHybrid
from uhd_edge.bench.synthetic.random_llm import RandomLanguageModel
from uhd_edge.bench.synthetic.random_weights import RandomConfig, RandomWeights
from uhd_edge.export import disk_space
from uhd_edge.export.checkpoint.config import read_model_config
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.bundles.bundle_sizes import read_sizes
from uhd_edge.runtime.bundles.model_sizes import MINICPM_V_4_6
from uhd_edge.runtime.errors import ExportError, OutputError
from uhd_edge.runtime.images.synthetic_pictures import shapes
from uhd_edge.runtime.vision.encoder import VisionEncoder

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle

SIZES = replace(
    MINICPM_V_4_6,
    name="small",
    vision=MINICPM_V_4_6.vision.model_copy(
        update={"hidden_size": 32, "intermediate_size": 48, "layers": 3, "insert_layer": 1}
    ),
    preprocessing=MINICPM_V_4_6.preprocessing.model_copy(update={"scale_resolution": 112}),
    mlp_width=48,
    llm_width=64,
)
SMALL = SyntheticModel(SIZES, 2, RandomLanguageModel(64, 96, layers=1, heads=2, kv_heads=1, head=32))


def make(folder: Path, *precisions: str, steps: list[str] | None = None) -> Bundle:
    told: list[str] = [] if steps is None else steps
    return open_synthetic_bundle(SMALL, folder, precisions=precisions, threads=1, progress=told.append)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make(tmp_path_factory.mktemp("synthetic"), "fp32")


def test_it_answers_in_both_modes_with_as_many_tokens_as_it_may(bundle: Bundle) -> None:
    bundle.check_files()
    with Assistant(bundle, threads=1) as assistant:
        for mode in ("16x", "4x"):
            answer = assistant.ask(shapes(200, 150), "What is this?", max_tokens=9, mode=mode)  # type: ignore[arg-type]
            assert (answer.usage.completion_tokens, answer.finish_reason) == (9, "length")


def test_its_manifest_has_the_sizes_it_was_made_of(bundle: Bundle) -> None:
    assert replace(read_sizes(bundle), name="small") == SIZES


def test_embeddings_tell_pictures_apart_and_keep_their_size(bundle: Bundle) -> None:
    with Assistant(bundle, threads=1) as assistant:
        one, other = (assistant.encoder.encode(picture).embeddings for picture in (shapes(112, 112), shapes(100, 112)))
    assert np.abs(one - other).max() > 0.01
    assert 0.1 < np.std(one) < 10


def test_it_is_made_once(tmp_path: Path) -> None:
    steps: list[str] = []
    first = make(tmp_path, "auto", steps=steps)
    assert any(str(first.path) in step for step in steps)  # says where it goes, and how much it is
    steps.clear()
    assert make(tmp_path, "fp32", steps=steps).manifest == first.manifest
    assert steps == []


def test_the_same_weights_are_made_anywhere(bundle: Bundle, tmp_path: Path) -> None:
    assert make(tmp_path, "fp32").manifest.files == bundle.manifest.files


def test_fp16_is_added_when_it_is_asked_for(tmp_path: Path) -> None:
    make(tmp_path, "fp32")
    assert set(make(tmp_path, "fp16").manifest.graphs["4x"]) == {"fp32", "fp16"}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_one_is_made_anew(tmp_path: Path) -> None:
    made = make(tmp_path, "fp32")
    made.llm_path.unlink()
    assert make(tmp_path, "fp32").llm_path.is_file()


def test_int8_rounds_every_linear_of_the_tower_and_none_of_the_connector(tmp_path: Path) -> None:
    """What a calibration gives where no layer has to be put back, so that it is as fast."""
    made = make(tmp_path, "fp16", "int8")
    made.check_files()
    shapes_of = RandomWeights(RandomConfig(tower_config(SMALL))).shapes
    linears = [
        shape
        for name, shape in shapes_of.items()
        if len(shape) == 2 and "embed" not in name and not name.startswith("model.merger.")
    ]
    for kind in ("int8", "int8-tensorrt"):
        encoder, connector = made.graphs("16x", kind)  # type: ignore[arg-type]
        assert numbers_in_int8(encoder) == sum(rows * columns for rows, columns in linears)
        assert numbers_in_int8(connector) == 0


def numbers_in_int8(graph: Path) -> int:
    weights = [value.const_value for value in ir.load(graph).graph.initializers.values()]
    return sum(one.size for one in weights if one and one.dtype == ir.DataType.INT8 and len(one.shape) == 2)


def test_int8_answers_and_does_not_pass_for_a_calibration(tmp_path: Path) -> None:
    made = make(tmp_path, "int8")
    assert made.manifest.calibration is None
    with Assistant(made, precision="int8", threads=1) as assistant:
        assert assistant.encoder.open_mode("16x").precision == "int8"
        assert assistant.ask(shapes(112, 112), "What is this?", max_tokens=2).usage.completion_tokens == 2


def test_int8_is_close_to_fp32(tmp_path: Path) -> None:
    made = make(tmp_path, "int8")
    with (
        VisionEncoder(made, precision="int8", threads=1) as rounded,
        VisionEncoder(made, precision="fp32", threads=1) as exact,
    ):
        one, other = (encoder.encode(shapes(112, 112)).embeddings.ravel() for encoder in (rounded, exact))
    assert one @ other > 0.98 * np.linalg.norm(one) * np.linalg.norm(other)


def test_a_disk_too_full_for_int8_leaves_the_rest_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = make(tmp_path, "fp32").manifest
    usage = disk_space.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OutputError, match="are free"):
        make(tmp_path, "int8")
    made = make(tmp_path, "fp32")
    assert made.manifest == before
    assert {path.name for path in made.path.iterdir()} == {"bundle.json", "graphs", "llm.gguf"}


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = disk_space.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OutputError, match="are free"):
        make(tmp_path, "fp32")
    assert list(tmp_path.iterdir()) == []


def test_who_waits_for_another_process_says_so(tmp_path: Path) -> None:
    first: list[str] = []
    second: list[str] = []

    def meanwhile(step: str) -> None:
        first.append(step)
        if len(first) == 1:
            other.start()
            waiting.wait(60)

    def waits(step: str) -> None:
        second.append(step)
        waiting.set()

    waiting = Event()
    asked: dict[str, Any] = {"precisions": ["fp32"], "threads": 1}
    other = Thread(target=open_synthetic_bundle, args=(SMALL, tmp_path), kwargs={**asked, "progress": waits})
    open_synthetic_bundle(SMALL, tmp_path, **asked, progress=meanwhile)
    other.join()
    assert len(second) == 1
    assert "another process" in second[0]


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="XDG_CACHE_HOME"):
        make(tmp_path / "file" / "synthetic", "fp32")


def test_an_unknown_name_is_answered_with_those_that_are_known() -> None:
    with pytest.raises(ExportError, match=r"valid are minicpm-v-4\.6"):
        synthetic_bundle("gpt")


def test_the_real_one_has_as_many_weights_as_the_real_tower() -> None:
    """About 2.09 GB in FP32 for the encoder, and the connector's 26 million numbers beside it."""
    weights = RandomWeights(RandomConfig(tower_config(MODELS["minicpm-v-4.6"])))
    connector = sum(int(np.prod(shape)) for name, shape in weights.shapes.items() if name.startswith("model.merger."))
    assert 4 * (weights.count - connector) / 1e9 == pytest.approx(2.09, abs=0.01)
    assert connector / 1e6 == pytest.approx(26, abs=0.1)


@pytest.mark.parametrize(("name", "billions"), [("minicpm-v-4.6", 1.30), ("minicpm-v-4.7-1b", 1.55)])
def test_a_real_one_has_as_many_parameters_as_its_card_says(name: str, billions: float) -> None:
    model = MODELS[name]
    vision = RandomWeights(RandomConfig(tower_config(model))).count
    assert isinstance(model.llm, RandomHybrid)
    assert (vision + model.llm.parameters) / 1e9 == pytest.approx(billions, abs=0.005)


def test_one_whose_images_are_canvases_answers(tmp_path: Path) -> None:
    model = replace(SMALL, llm=replace(SMALL_HYBRID, has_canvas=True, has_output=True))
    made = open_synthetic_bundle(model, tmp_path, precisions=["fp32"], threads=1, progress=lambda _: None)
    assert made.manifest.architecture == "minicpmv4_7"
    with Assistant(made, threads=1) as assistant, assistant.session(shapes(200, 150)) as session:
        for _ in range(2):
            assert session.ask("What is this?", max_tokens=9).usage.completion_tokens == 9


def test_the_sizes_of_a_checkpoint_s_configuration_are_read_the_same_way(qwen3_checkpoint: Path) -> None:
    """A tower described by `ModelSizes` is the one that the export reads from config.json."""
    tower = read_model_config(qwen3_checkpoint).tower
    vision = MINICPM_V_4_6.vision.model_copy(
        update={"hidden_size": tower.hidden, "layers": tower.layers, "insert_layer": tower.insert_layer}
    )
    sizes = replace(MINICPM_V_4_6, vision=vision, mlp_width=tower.intermediate, llm_width=tower.llm_hidden)
    assert tower_config(SyntheticModel(sizes, tower.heads, SMALL.llm)) == tower
