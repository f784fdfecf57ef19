"""Tokens chosen so that the text fits a grammar, by llama.cpp's grammar and checks around it.

llama.cpp ends the process when a grammar is given a token that it does not allow, and it
picks one when it allows none. So tokens are chosen here among those that are allowed, and
never otherwise.
"""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.runtime.errors import ModelError, SchemaError
from uhd_edge.runtime.llm.vocabulary import begun_after

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from uhd_edge.runtime.llm.llama_library import LlamaLibrary
    from uhd_edge.runtime.llm.vocabulary import Vocabulary

# llama_token_data: what a sampler works on.
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
# The likeliest tokens that are tried together; all those of a large vocabulary take a tenth of a second.
FEW = 64


class Grammar:
    """llama.cpp's state of a grammar during one answer; close it.

    Raises `SchemaError` when llama.cpp does not take the grammar, and `ModelError` for a
    vocabulary with no token that ends an answer.
    """

    def __init__(self, library: LlamaLibrary, vocabulary: Vocabulary, grammar: str) -> None:
        self._api = library.api
        self._sampler: Any = None
        if not vocabulary.ending.any():
            raise ModelError("the language model has no token that ends an answer, so a schema cannot be kept to")
        self._vocabulary = vocabulary
        self._begun = b""  # the bytes of a character that is not whole yet
        # The names of control tokens would pass as text, but they are not part of an answer.
        self._writable = vocabulary.writable | vocabulary.ending
        # Most tokens are tried alone, in one place that is made once.
        self._tried = self._api.llama_token_data()
        alone = self._api.llama_token_data_array(data=ctypes.pointer(self._tried), size=1, selected=-1, sorted=False)
        self._tried_alone = ctypes.pointer(alone)
        library.forget_log()
        self._sampler = library.call(
            self._api.llama_sampler_init_grammar,
            vocabulary.handle,
            grammar.encode(),
            b"root",
            undo=self._api.llama_sampler_free,
        )
        if not self._sampler:
            raise SchemaError(f"llama.cpp does not take the schema's grammar ({library.reason()}); simplify the schema")

    def allows(self, token: int) -> bool:
        """Whether the answer may go on with `token`."""
        if not self._writable[token]:
            return False
        tried = self._tried
        tried.id, tried.logit = token, 0.0
        self._api.llama_sampler_apply(self._sampler, self._tried_alone)
        return math.isfinite(tried.logit) and self._stays_text(token)

    def allowed(self, candidates: NDArray[Any]) -> NDArray[Any]:
        """Those of the candidates that the answer may go on with."""
        tried = candidates[self._writable[candidates["id"]]]
        apply(self._api, self._sampler, tried)
        kept: NDArray[Any] = tried[np.isfinite(tried["logit"])]
        return kept[self._characters(kept["id"])]

    def accept(self, token: int) -> None:
        """Advance by `token`, which must be allowed."""
        self._api.llama_sampler_accept(self._sampler, token)
        self._begun = begun_after(self._begun + self._vocabulary.token_bytes(token)) or b""

    def _stays_text(self, token: int) -> bool:
        return begun_after(self._begun + self._vocabulary.token_bytes(token)) is not None

    def _characters(self, tokens: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether the answer stays UTF-8 with each of the tokens.

        llama.cpp counts bytes of the right number as a character even where they stand for none
        (overlong ones). Decoded, they would be up to four, too many for a `maxLength`.
        """
        fits = np.ones(len(tokens), np.bool_)
        # Whole characters may always follow whole ones, and most tokens are that.
        look_at_all = self._begun or len(tokens) <= FEW
        doubtful = range(len(tokens)) if look_at_all else np.flatnonzero(self._vocabulary.fragments[tokens])
        for place in doubtful:
            fits[place] = self._stays_text(int(tokens[place]))
        return fits

    def close(self) -> None:
        """Free it. Safe to call twice."""
        if self._sampler:
            self._api.llama_sampler_free(self._sampler)
        self._sampler = None


def make_candidates(logits: NDArray[np.float32], tokens: NDArray[np.int64] | None = None) -> NDArray[Any]:
    """Candidates [n] for tokens int64 [n] (without them 0, 1, ..), from their logits float32 [n]."""
    candidates = np.zeros(len(logits), CANDIDATE)
    candidates["id"] = np.arange(len(logits)) if tokens is None else tokens
    candidates["logit"] = logits
    return candidates


def apply(api: Any, sampler: Any, candidates: NDArray[Any]) -> Any:
    """Apply a llama.cpp sampler to the candidates in place; returns its array, with the selected candidate."""
    array = api.llama_token_data_array(
        data=candidates.ctypes.data_as(api.llama_token_data_p), size=len(candidates), selected=-1, sorted=False
    )
    api.llama_sampler_apply(sampler, ctypes.byref(array))
    return array


def choose(api: Any, chain: Any | None, grammar: Grammar, logits: NDArray[np.float32]) -> int:
    """Choose a token by the chain, or without one the likeliest, among those the grammar allows, and tell both.

    One is chosen among all tokens first: mostly that is allowed, and trying one is a
    thousandth of the work of trying them all. `logits` are float32 [vocabulary].

    Raises `ModelError` when the vocabulary cannot write what must come next.
    """
    token = int(logits.argmax()) if chain is None else _chosen(api, chain, make_candidates(logits))
    if not grammar.allows(token):
        token = _likeliest_allowed(grammar, logits) if chain is None else _chosen(api, chain, _allowed(grammar, logits))
    grammar.accept(token)
    if chain is not None:
        api.llama_sampler_accept(chain, token)
    return token


def choose_freely(api: Any, chain: Any, logits: NDArray[np.float32]) -> int:
    """Choose a token by the chain, as `llama_sampler_sample` does, from logits float32 [vocabulary] of any origin."""
    token = _chosen(api, chain, make_candidates(logits))
    api.llama_sampler_accept(chain, token)
    return token


def _likeliest_allowed(grammar: Grammar, logits: NDArray[np.float32]) -> int:
    """Try the likeliest few tokens before all."""
    few = min(FEW, len(logits))
    likely = np.flatnonzero(logits >= np.partition(logits, -few)[-few])
    allowed = grammar.allowed(make_candidates(logits[likely], likely))
    if not len(allowed):
        allowed = _allowed(grammar, logits)
    return int(allowed["id"][allowed["logit"].argmax()])


def _allowed(grammar: Grammar, logits: NDArray[np.float32]) -> NDArray[Any]:
    allowed = grammar.allowed(make_candidates(logits))
    if not len(allowed):
        raise ModelError("the language model's vocabulary has no token for what the schema wants next")
    return allowed


def _chosen(api: Any, chain: Any, candidates: NDArray[Any]) -> int:
    array = apply(api, chain, candidates)
    return int(array.data[array.selected].id)
