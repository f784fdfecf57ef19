import json
from pathlib import Path

import pytest

from uhd_edge.runtime.budget.cost_book import CostBook
from uhd_edge.runtime.budget.cost_store import StoredCosts, read_costs, write_costs
from uhd_edge.runtime.budget.costs import CostModel, PromptCosts, SlicingCosts, VisionCosts, Work
from uhd_edge.runtime.budget.spread import Spread
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.vision.encoder import VisionEncoder

COSTS = CostModel(VisionCosts(3.0, 0.05, 0.0001), SlicingCosts(7.0, 2.0), PromptCosts(5.0, 0.5, 0.001), 14)
IDENTITY = {"bundle": "ab" * 32, "mode": "16x", "machine": "a board x 4"}
STORED = StoredCosts(IDENTITY, COSTS, Spread((1.2, 0.9)), Spread((1.1,)))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "uhd-edge" / "costs"


def test_a_prediction_is_the_sum_of_what_there_is_to_do() -> None:
    one_view = Work([(1000, 500)], [[(16, 16)]], tokens=100)
    slicing = 0.5 * 7 + 256 * 196 / 1e6 * 2
    encoding = 3 + 256 * 0.05 + 256**2 * 0.0001
    prompt = 5 + 100 * 0.5 + 100**2 * 0.001
    assert COSTS.milliseconds(one_view) == pytest.approx(slicing + encoding + prompt)


def test_a_sliced_image_is_resized_twice() -> None:
    free = CostModel(VisionCosts(0, 0, 0), SlicingCosts(7.0, 0.0), PromptCosts(0, 0, 0), 14)
    unsliced = free.milliseconds(Work([(1000, 1000)], [[(16, 16)]], 0))
    assert free.milliseconds(Work([(1000, 1000)], [[(16, 16)] * 3], 0)) == pytest.approx(2 * unsliced)


def test_views_of_one_size_share_a_run_of_the_engines() -> None:
    per_run = CostModel(VisionCosts(10.0, 0, 0), SlicingCosts(0, 0), PromptCosts(0, 0, 0), 14)
    runs = {count: per_run.milliseconds(Work([(1, 1)], [[(16, 16)] * count], 0)) for count in (1, 10, 11)}
    assert runs[1] == runs[10] == runs[11] / 2  # 2560 patches at a time
    assert per_run.milliseconds(Work([(1, 1)], [[(16, 16), (12, 20)]], 0)) == 2 * runs[1]


def test_text_alone_costs_its_prompt() -> None:
    assert COSTS.milliseconds(Work([], [], 10)) == pytest.approx(5 + 10 * 0.5 + 100 * 0.001)


def test_kept_costs_are_read_again_and_only_by_whom_they_belong_to() -> None:
    assert read_costs(IDENTITY, 14) is None
    assert write_costs(STORED) is None
    assert read_costs(IDENTITY, 14) == STORED
    assert read_costs({**IDENTITY, "mode": "4x"}, 14) is None


@pytest.mark.parametrize("damage", ["", "{", "format", "negative", "infinite", "ratio", "another's"])
def test_a_damaged_file_of_costs_is_as_good_as_none(cache: Path, damage: str) -> None:
    write_costs(STORED)
    (file,) = cache.iterdir()
    record = json.loads(file.read_text())
    if damage == "format":
        record["format"] = 1
    elif damage == "ratio":
        record["questions"] = [0.0]
    elif damage == "negative":
        record["prompt"]["per_token"] = -1
    elif damage == "infinite":
        record["prompt"]["per_token"] = float("inf")
    elif damage == "another's":
        record["identity"]["machine"] = "another"
    file.write_text(damage if not damage or damage.startswith("{") else json.dumps(record))
    assert read_costs(IDENTITY, 14) is None


def test_a_cache_that_cannot_be_written_is_said_and_leaves_nothing(cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    assert "cannot be written" in (write_costs(STORED) or "")
    assert list(cache.parent.iterdir()) == [cache]


def test_whoever_has_no_home_folder_is_told_where_costs_could_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    assert read_costs(IDENTITY, 14) is None
    assert "set XDG_CACHE_HOME" in (write_costs(STORED) or "")


def test_what_is_in_memory_is_not_read() -> None:
    whole, known = (COSTS.milliseconds(Work([], [], 100, in_memory)) for in_memory in (0, 60))
    assert whole - known == pytest.approx(60 * 0.5 + 60**2 * 0.001)


def open_book(encoder: VisionEncoder, model: LanguageModel) -> CostBook:
    return CostBook(encoder, model, threads=1)


def test_a_machine_is_measured_once_for_a_bundle_and_its_settings(cache: Path) -> None:
    bundle = Bundle.open()
    said: list[str] = []
    with VisionEncoder(bundle, threads=1) as encoder, LanguageModel(bundle.llm_path, threads=1) as model:
        book = open_book(encoder, model)
        costs = book.costs("16x", said.append)
        assert book.costs("16x", said.append) is costs
        assert open_book(encoder, model).costs("16x", said.append) == costs
        assert len(said) == len(list(cache.iterdir())) == 1
        assert model.position == 0
        model.gpu_layers = 1
        open_book(encoder, model).costs("16x", said.append)
        assert len(said) == len(list(cache.iterdir())) == 2
    assert costs.vision.per_patch + costs.vision.per_patch_squared > 0
    assert costs.prompt.per_token + costs.prompt.per_token_squared > 0


def test_a_context_of_two_tokens_can_be_measured_and_is_not_taken_for_a_larger_one(cache: Path) -> None:
    bundle = Bundle.open()
    said: list[str] = []
    with VisionEncoder(bundle, threads=1) as encoder:
        for context in (2, 64):
            with LanguageModel(bundle.llm_path, threads=1, context=context) as model:
                open_book(encoder, model).costs("16x", said.append)
    assert len(said) == len(list(cache.iterdir())) == 2
