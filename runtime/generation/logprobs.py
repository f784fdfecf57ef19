"""How likely the tokens of an answer are, by the model's own logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.runtime.answer import TokenLogprob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


def rank_token(token: int, logits: NDArray[np.float32], top: int, token_bytes: Callable[[int], bytes]) -> TokenLogprob:
    """Return the probability of a token that was chosen after logits float32 [vocabulary], and the `top` likeliest."""
    wide = logits.astype(np.float64)
    shifted = wide - wide.max()
    logprobs = shifted - np.log(np.exp(shifted).sum())
    likeliest = np.argsort(-logprobs, kind="stable")[:top].tolist() if top else []
    ranked = tuple(TokenLogprob(other, token_bytes(other), float(logprobs[other])) for other in likeliest)
    return TokenLogprob(token, token_bytes(token), float(logprobs[token]), ranked)


def trim_to(tokens: Sequence[TokenLogprob], text: str) -> tuple[TokenLogprob, ...]:
    """Leave out the tokens before and after a text: whitespace, a stop, the end.

    Where the text is not found in their bytes, as with broken characters, all tokens are returned.
    """
    data = b"".join(token.data for token in tokens)
    start = data.find(text.encode())
    if start < 0:
        return tuple(tokens)
    kept, at, stop = [], 0, start + len(text.encode())
    for token in tokens:
        if at < stop and at + len(token.data) > start and token.data:
            kept.append(token)
        at += len(token.data)
    return tuple(kept)
