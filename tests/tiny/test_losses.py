"""The losses of the tower's heads leave out what has no label, and symbolic tokens have one meaning."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from uhd_edge.tiny.training.losses import seeing_loss, symbol_loss, token_loss
from uhd_edge.tiny.training.reading import Reader, code_loss
from uhd_edge.tiny.training.seeing import TOKEN, SeenBatch, Seer, seen_batch
from uhd_edge.tiny.world.conversations import pack
from uhd_edge.tiny.world.labels import POSITIONS, see_all, token_labels
from uhd_edge.tiny.world.questions import Question
from uhd_edge.tiny.world.scenes import SINGLE, draw_scene
from uhd_edge.tiny.world.symbols import Symbols, said
from uhd_edge.tiny.world.tokenizer import train_tokenizer
from uhd_edge.tiny.world.views import View


@pytest.fixture(scope="module")
def batch() -> SeenBatch:
    return seen_batch("losses", 2, 16, 16, compress=True)


def indexed_loss(tokens: torch.Tensor, batch: SeenBatch) -> torch.Tensor:
    """The loss of the token head over the labelled tokens alone, picked out with masks."""
    *fields, place = torch.split(tokens, [*TOKEN, 2], dim=-1)
    labels, loss = batch.tokens, torch.zeros(())
    anchors, glyphs = labels[..., 0] == 1, labels[..., 3] == 1
    for index, logits in enumerate(fields):
        if index in (0, 3):
            known = labels[..., index] >= 0
            truth = labels[..., index][known].float()
            loss = loss + functional.binary_cross_entropy_with_logits(logits[..., 0][known], truth)
            continue
        there = anchors if index < 3 else glyphs
        weight = torch.ones(logits.shape[-1])
        weight[0] = 0.2 if 6 <= index < 6 + POSITIONS else 1.0
        share = 0.6 if 6 <= index < 6 + POSITIONS else 0.3
        loss = loss + share * functional.cross_entropy(logits[there], labels[..., index][there], weight)
    return loss + 10 * functional.mse_loss(place[anchors], batch.places[anchors])


def test_the_token_loss_is_that_over_the_labelled_tokens(batch: SeenBatch) -> None:
    torch.manual_seed(0)
    tokens = torch.randn(*batch.tokens.shape[:2], sum(TOKEN) + 2)
    torch.testing.assert_close(token_loss(tokens, batch), indexed_loss(tokens, batch))


def test_views_without_anything_have_a_finite_loss(batch: SeenBatch) -> None:
    nothing = replace(batch, tokens=torch.zeros_like(batch.tokens))
    tokens = torch.zeros(*batch.tokens.shape[:2], sum(TOKEN) + 2, requires_grad=True)
    loss = token_loss(tokens, nothing) + symbol_loss(Symbols(16), torch.ones(*batch.tokens.shape[:2], 16), nothing)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert tokens.grad is not None
    assert torch.isfinite(tokens.grad).all()


def test_without_weight_for_tokens_only_the_patches_are_learned(batch: SeenBatch) -> None:
    seer = Seer(0)
    later = [seer.spell_head, seer.token_head, seer.connector]
    for tokens, learned in ((0.0, False), (1.0, True)):
        seer.zero_grad()
        seeing_loss(seer(batch.pixels, batch.position_ids, True), batch, tokens).backward()  # type: ignore[no-untyped-call]
        assert seer.cell_head.weight.grad is not None
        for part in later:
            assert all((weight.grad is not None) == learned for weight in part.parameters())


def test_a_code_is_read_where_its_object_is_named_if_its_symbols_are_gathered_there() -> None:
    tokenizer = train_tokenizer()
    symbols = Reader(0, tokenizer).symbols
    asked = [Question("code", "What is the code on the red star?", code) for code in ("K7Q2X", "A1B2C")]
    packed = pack(tokenizer, [[]], [asked])
    read = torch.zeros(packed.ids.numel(), symbols.alphabet.shape[1])
    nothing = code_loss(symbols, read, packed)
    for place, code in zip(packed.named, packed.codes, strict=True):
        read[place] = (symbols.alphabet[code] * symbols.position).sum(dim=0)
        read[place] *= read.shape[1] ** 0.5 / read[place].norm()  # as long as the last norm leaves it
    assert code_loss(symbols, read, packed) < 0.05 * nothing
    packed.codes[:] = packed.codes.flip(0)
    assert code_loss(symbols, read, packed) > nothing


def test_without_a_code_asked_for_its_loss_is_zero() -> None:
    tokenizer = train_tokenizer()
    packed = pack(tokenizer, [[]], [[Question("presence", "Is there a red star?", "yes")]])
    read = torch.ones(packed.ids.numel(), 256, requires_grad=True)
    loss = code_loss(Symbols(256), read, packed)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0
    assert read.grad is not None
    assert not read.grad.any()


def test_symbolic_tokens_by_labels_are_those_by_objects() -> None:
    symbols = Symbols(16)
    view = View(16, 16, 0, 0, 224, 224)
    compared = 0
    for index in range(20):
        scene = draw_scene(f"symbols/{index}", SINGLE)
        fields, places = token_labels(scene, view, 4)
        if (fields < 0).any():  # two objects in one token have no label
            continue
        words = said([(see_all(scene, view), view)], 4)
        by_labels = symbols.by_labels(torch.from_numpy(fields), torch.from_numpy(places))
        torch.testing.assert_close(by_labels, symbols(words, 16))
        compared += 1
    assert compared > 5


def test_tokens_that_equal_their_symbols_have_no_symbol_loss(batch: SeenBatch) -> None:
    symbols = Symbols(16)
    exact = symbols.by_labels(batch.tokens.flatten(0, 1), batch.places.flatten(0, 1)).reshape(2, -1, 16)
    assert float(symbol_loss(symbols, exact, batch)) == pytest.approx(0, abs=1e-9)
    assert float(symbol_loss(symbols, 2 * exact, batch)) == pytest.approx(1, rel=0.01)
