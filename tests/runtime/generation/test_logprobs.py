"""The probabilities of an answer's tokens, against those of PyTorch and against the text."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.places import EXAMPLES

from uhd_edge.runtime import Assistant
from uhd_edge.runtime.answer import TokenLogprob
from uhd_edge.runtime.generation.logprobs import rank_token, trim_to

if TYPE_CHECKING:
    from collections.abc import Sequence

CODE = "What is the code on the white star?"


def test_a_token_is_as_likely_as_pytorch_says() -> None:
    logits = 5 * np.random.default_rng(0).standard_normal(300).astype(np.float32)
    expected = torch.log_softmax(torch.from_numpy(logits).double(), -1)
    ranked = rank_token(17, logits, 4, lambda token: str(token).encode())
    assert (ranked.token, ranked.data, math.isclose(ranked.logprob, expected[17].item())) == (17, b"17", True)
    best = torch.topk(expected, 4)
    assert [other.token for other in ranked.top] == best.indices.tolist()
    np.testing.assert_allclose([other.logprob for other in ranked.top], best.values.numpy())
    assert rank_token(17, logits, 0, lambda _: b"").top == ()


def test_the_tokens_of_an_answer_are_its_text() -> None:
    with Assistant(threads=1) as assistant:
        plain = assistant.ask(EXAMPLES / "bench.png", CODE)
        answer = assistant.ask(EXAMPLES / "bench.png", CODE, logprobs=3)
        stopped = assistant.ask(EXAMPLES / "bench.png", CODE, logprobs=0, stop="7")
        drawn = assistant.ask(CODE, logprobs=1, temperature=2.0, max_tokens=20)
    assert plain.text == answer.text == "".join(token.text for token in answer.logprobs)
    assert plain.logprobs == ()
    for token in answer.logprobs:
        assert (token.token, token.logprob) == (token.top[0].token, token.top[0].logprob)  # the likeliest is taken
        assert token.logprob <= 0
        assert sum(math.exp(other.logprob) for other in token.top) <= 1 + 1e-9
    assert "".join(token.text for token in stopped.logprobs).startswith(stopped.text)
    assert all(token.logprob <= token.top[0].logprob for token in drawn.logprobs)
    assert json.loads(json.dumps(answer.to_dict()))["logprobs"][0]["top"][0]["text"] == answer.logprobs[0].text


def tokens(texts: Sequence[str]) -> list[TokenLogprob]:
    return [TokenLogprob(number, text.encode(), -1.0) for number, text in enumerate(texts)]


@given(st.lists(st.text(alphabet=" ab\n\u00e9", max_size=3), max_size=6))
def test_what_is_left_covers_the_text_and_no_token_more(texts: list[str]) -> None:
    whole = "".join(texts)
    kept = "".join(token.text for token in trim_to(tokens(texts), whole.strip()))
    assert whole.strip() in kept
    assert kept.strip() == whole.strip()
