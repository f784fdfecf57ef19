"""Compares an answer with that to the same question, read beside others or alone."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer

# Tokens read together are summed up in another order, and a memory of 16-bit numbers rounds the difference up:
# 2.7e-4 was the most of 60 times 40 tokens of a hybrid model.
ROUNDING = 2e-3
# Where a drawn number falls between two tokens, rounding chooses; but it hardly does so at once.
DRAWN_ALIKE = 4


def require_same(answer: Answer, expected: Answer, *, drawn: bool) -> bool:
    """Require the same tokens up to the first where two were as good, and return whether all are the same.

    Every token must be as likely as expected. Both answers need `logprobs`; `drawn` says that their
    tokens were drawn, and are not the likeliest ones.
    """
    both = list(zip(answer.logprobs, expected.logprobs, strict=False))
    alike = list(takewhile(lambda pair: pair[0].token == pair[1].token, both))
    for one, other in alike:
        assert abs(one.logprob - other.logprob) < ROUNDING
    if len(alike) == len(answer.logprobs) == len(expected.logprobs):
        assert (answer.text, answer.finish_reason) == (expected.text, expected.finish_reason)
        return True
    assert len(alike) < len(both)
    one, other = both[len(alike)]
    assert len(alike) >= DRAWN_ALIKE if drawn else abs(one.logprob - other.logprob) < ROUNDING
    return False
