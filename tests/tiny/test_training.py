"""Training that is resumed gives exactly the same result, and batches do not depend on who draws them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uhd_edge.tiny.training.batches import Steps, drawn_ahead
from uhd_edge.tiny.training.joining import EMPTY_GREY
from uhd_edge.tiny.training.reading import ReadBatch
from uhd_edge.tiny.training.recipe import KINDS, RECIPES, Stage
from uhd_edge.tiny.training.seeing import SeenBatch
from uhd_edge.tiny.training.steps import step_loss
from uhd_edge.tiny.training.train import Plan, main, one_step, run_stage, train
from uhd_edge.tiny.training.training_state import OtherRecipeError, load_state, new_state, save_state
from uhd_edge.tiny.world.batches import tensors_of
from uhd_edge.tiny.world.tokenizer import RememberingEncoder, train_tokenizer
from uhd_edge.tiny.world.views import compute_position_ids

CPU = torch.device("cpu")
UNCHANGED = dict(KINDS)
MINIATURE = Stage("miniature", 2, {"few single": 0.5, "few crowded 4x": 0.5}, rate=1e-3, text_rate=1e-3, seeing=0.5)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in KINDS.items():
        monkeypatch.setitem(KINDS, name, replace(kind, count=2, asked=("code", "extreme")))


def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path: Path) -> None:
    tokenizer = train_tokenizer()
    whole = new_state(0, tokenizer, CPU)
    run_stage(whole, MINIATURE, Plan(0), tmp_path)

    stopped = new_state(0, tokenizer, CPU)
    stopped.seeing.rate, stopped.reading.rate = MINIATURE.rate, MINIATURE.text_rate
    one_step(stopped, MINIATURE, Steps(MINIATURE, 0, tokenizer)[0], 0, 0.0)
    stopped.step = 1
    save_state(stopped, tmp_path / "state.pt")
    resumed = new_state(1, tokenizer, CPU)
    load_state(resumed, tmp_path / "state.pt")
    run_stage(resumed, MINIATURE, Plan(0, workers=1), tmp_path)

    assert resumed.step == whole.step == 2
    ours = resumed.model.state_dict()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, ours[name]), name
    assert len((tmp_path / "training.jsonl").read_text().splitlines()) == 2


def test_a_step_has_the_same_batch_whoever_draws_it() -> None:
    stage = replace(MINIATURE, steps=4, mix={"hard sliced": 0.4, "hard crowded": 0.3, "few symbols sliced": 0.3})
    drawing = Steps(stage, 7, RememberingEncoder())
    with drawn_ahead(drawing, 1, CPU, workers=2) as batches:
        ahead = list(batches)
    assert len(ahead) == 3
    for number, drawn in enumerate(ahead, start=1):
        again = Steps(stage, 7, train_tokenizer())[number]
        assert drawn.name == again.name
        for one, other in zip(tensors_of(drawn.batch), tensors_of(again.batch), strict=True):
            assert torch.equal(one, other)


def test_a_run_without_time_goes_through_every_stage_without_a_step(tmp_path: Path) -> None:
    state = train(tmp_path, (MINIATURE, replace(MINIATURE, name="second", inserts=True)), Plan(0, minutes=0.0), CPU)
    assert (state.stage, state.step) == (2, 0)
    assert not (tmp_path / "training.jsonl").exists()
    assert (tmp_path / "state.pt").exists()


def test_a_connector_speaks_up_as_much_as_the_symbols_grew_and_its_head_reads_the_same() -> None:
    state = new_state(0, train_tokenizer(), CPU)
    drawn = Steps(replace(MINIATURE, mix={"few crowded": 1.0}), 0, RememberingEncoder())[0].batch
    assert isinstance(drawn, SeenBatch)
    with torch.no_grad():
        state.model.reader.symbols.alphabet *= 4
        before = state.model.seer(drawn.pixels, drawn.position_ids, True)
        run_stage(state, replace(MINIATURE, steps=0, speaks=True), Plan(0), Path())
        after = state.model.seer(drawn.pixels, drawn.position_ids, True)
    assert after.embeddings.norm() / before.embeddings.norm() == pytest.approx(4, rel=0.05)
    torch.testing.assert_close(after.tokens, before.tokens)


def test_tokens_for_nothing_become_three_times_as_long_and_the_head_reads_the_same() -> None:
    state = new_state(0, train_tokenizer(), CPU)
    grey = torch.full((1, 224, 224, 3), EMPTY_GREY, dtype=torch.uint8)
    modes = [(grey, compute_position_ids(16, 16, block), block == 4) for block in (4, 2)]
    with torch.no_grad():
        before = [state.model.seer(*mode) for mode in modes]
        run_stage(state, replace(MINIATURE, steps=0, lengthens=True), Plan(0), Path())
        after = [state.model.seer(*mode) for mode in modes]
    means = [sum(seen.embeddings.mean(dim=(0, 1)) for seen in both) for both in (before, after)]
    torch.testing.assert_close(means[1], 3 * means[0])
    for one, other in zip(before, after, strict=True):
        added = (other.embeddings - one.embeddings).flatten(0, 1)
        torch.testing.assert_close(added, added[:1].expand_as(added))
        torch.testing.assert_close(other.tokens, one.tokens)


@pytest.mark.parametrize("kind", ["few crowded", "few single"])
def test_the_distance_from_symbolic_tokens_counts_by_its_weight(kind: str) -> None:
    state = new_state(0, train_tokenizer(), CPU)
    batch = Steps(replace(MINIATURE, mix={kind: 1.0}), 0, RememberingEncoder())[0].batch
    with torch.no_grad():
        none, one, ten = (
            step_loss(state.model, batch, replace(MINIATURE, symbols=weight))[0] for weight in (0.0, 1.0, 10.0)
        )
    assert one > none
    assert (ten - none) / (one - none) == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_stage_of_a_recipe_mixes_kinds_of_batches_that_exist(recipe: str) -> None:
    for stage in RECIPES[recipe]:
        assert set(stage.mix) <= set(KINDS)
        assert sum(stage.mix.values()) == pytest.approx(1)
    assert sum(stage.share for stage in RECIPES[recipe]) == pytest.approx(1)


def test_a_folder_of_another_recipe_is_refused_with_both_recipes_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, (MINIATURE,), Plan(0, minutes=0.0), CPU)
    monkeypatch.setattr(sys, "argv", ["train", str(tmp_path), "--recipe", "large", "--device", "cpu", "--minutes", "0"])
    with pytest.raises(SystemExit):
        main()
    line = capsys.readouterr().err.splitlines()[-1]
    assert "the stages miniature, not seeing and reading, compression, joining" in line
    assert not (tmp_path / "checkpoint").exists()


def test_a_state_that_names_no_stages_is_refused(tmp_path: Path) -> None:
    state = new_state(0, train_tokenizer(), CPU)
    save_state(state, tmp_path / "state.pt")
    values = torch.load(tmp_path / "state.pt", weights_only=True)
    del values["stages"]
    torch.save(values, tmp_path / "state.pt")
    with pytest.raises(OtherRecipeError, match="the stages unknown"):
        load_state(state, tmp_path / "state.pt")


@pytest.mark.parametrize("tokens", [0.0, 1.0])
def test_a_stage_without_weight_for_tokens_leaves_the_connector_as_it_is(tokens: float) -> None:
    stage = replace(MINIATURE, mix={"few crowded": 1.0}, tokens=tokens, symbols=0.0)
    state = new_state(0, train_tokenizer(), CPU)
    state.seeing.rate = stage.rate
    before = [weight.clone() for weight in state.model.seer.connector.parameters()]
    one_step(state, stage, Steps(stage, 0, RememberingEncoder())[0], 0, 0.5)
    same = [torch.equal(*pair) for pair in zip(before, state.model.seer.connector.parameters(), strict=True)]
    assert all(same) if not tokens else not any(same)


@pytest.mark.parametrize("name", [name for name, kind in UNCHANGED.items() if kind.source == "symbols"])
def test_symbols_are_asked_for_codes_only_where_words_are_known(name: str) -> None:
    drawn = Steps(replace(MINIATURE, mix={name: 1.0}), 0, RememberingEncoder(), UNCHANGED)[0]
    assert isinstance(drawn.batch, ReadBatch)
    assert len(drawn.batch.questions) == UNCHANGED[name].count
    codes = {sum(question.kind == "code" for question in asked) for asked in drawn.batch.questions}
    assert codes == {0} if name in {"few words", "few labels", "few presence", "few counts"} else min(codes) >= 1


def test_a_stage_with_weight_for_codes_learns_them_where_objects_are_named() -> None:
    losses = []
    for codes in (0.0, 1.0):
        stage = replace(MINIATURE, mix={"few codes": 1.0}, codes=codes)
        state = new_state(0, train_tokenizer(), CPU)
        losses.append(one_step(state, stage, Steps(stage, 0, RememberingEncoder())[0], 0, 0.5)[0].item())
    assert losses[1] > losses[0] + 1  # chance among 35 classes is 3.6


def test_batches_from_every_source_of_the_large_recipes_last_stage_train_a_step() -> None:
    tokenizer = RememberingEncoder()
    state = new_state(0, train_tokenizer(), CPU)
    stage = RECIPES["large"][-1]
    one_of_each = {KINDS[name].source: name for name in reversed(stage.mix)}
    assert set(one_of_each) == {"crowded", "symbols", "pictures"}
    for name in one_of_each.values():
        drawn = Steps(replace(stage, mix={name: 1.0}), 0, tokenizer)[0]
        loss, scoring = one_step(state, stage, drawn, 0, 0.5)
        assert torch.isfinite(loss)
        assert scoring()
