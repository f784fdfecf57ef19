"""Tokens chosen so that the text fits a grammar, by llama.cpp's grammar and checks around it.

llama.cpp ends the process when a grammar is given a token that it does not allow, and it
picks one when it allows none. So tokens are chosen here among those that are allowed, and
never otherwise.
"""

from __future__ import annotations

import ctypes
import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.runtime.errors import ModelError, SchemaError
from uhd_edge.runtime.llm.vocabulary import NOTHING, begun_after

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from uhd_edge.runtime.llm.llama_library import LlamaLibrary
    from uhd_edge.runtime.llm.vocabulary import Vocabulary

# llama_token_data: what a sampler works on.
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
# The likeliest tokens that are tried together; all those of a large vocabulary take a tenth of a second.
FEW = 64
# Of those, the likeliest are tried alone, which takes less time where one of them is allowed.
ALONE = 4
# Tokens of a vocabulary for which it takes no longer to try what they begin with than the likeliest few.
SMALL = 4096


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
        self._tried_together = _Candidates(self._api, np.arange(min(FEW, vocabulary.size)))
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

    def allowed(self) -> NDArray[np.int64]:
        """All tokens that the answer may go on with, int64 [n]; a token of them is allowed until the next `accept`."""
        fitting = self._fitting(self.possible())
        return fitting[self._characters(fitting)]

    def likeliest(self, tokens: NDArray[np.int64], logits: NDArray[np.float32]) -> int | None:
        """The likeliest of tokens int64 [n], in rising order, that the answer may go on with.

        Of equally likely ones it is the first. `logits` are float32 [vocabulary].
        """
        unlikelier = logits[tokens]
        for _ in range(ALONE):
            if not len(tokens) or unlikelier[place := int(unlikelier.argmax())] == -np.inf:
                return None
            if self.allows(token := int(tokens[place])):
                return token
            unlikelier[place] = -np.inf
        falling = np.argsort(-unlikelier, kind="stable")
        falling = tokens[falling[: np.count_nonzero(unlikelier > -np.inf)]]
        for others in (falling[:FEW], falling[FEW:]):
            if (likeliest := next(filter(self._stays_text, self._fitting(others).tolist()), None)) is not None:
                return int(likeliest)
        return None

    def possible(self) -> NDArray[np.int64]:
        """Tokens among which are all that the answer may go on with, int64 [n] in rising order.

        A token is not allowed where its first character is not (none of our grammars names tokens). So those of one
        character of ASCII are tried, and what begins with such a one is possible, and what begins beyond ASCII. Tokens
        that end an answer are judged by that alone, whatever text they have.
        """
        probes, may_begin = self._beginnings
        may_begin[self._vocabulary.first_bytes[probes.tokens]] = probes.left_by(self._sampler)
        return np.flatnonzero(may_begin[self._vocabulary.beginnings])

    @cached_property
    def _beginnings(self) -> tuple[_Candidates, NDArray[np.bool_]]:
        """The tokens of one character that are tried, and whether a text may go on with each beginning of a token."""
        may_begin = np.ones(NOTHING + 1, np.bool_)
        may_begin[NOTHING] = False
        return _Candidates(self._api, self._vocabulary.single_characters), may_begin

    def accept(self, token: int) -> None:
        """Advance by `token`, which must be allowed."""
        self._api.llama_sampler_accept(self._sampler, token)
        self._begun = begun_after(self._begun + self._vocabulary.token_bytes(token)) or b""

    def _stays_text(self, token: int) -> bool:
        return begun_after(self._begun + self._vocabulary.token_bytes(token)) is not None

    def _fitting(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the tokens that llama.cpp's grammar takes, and that are part of an answer's text or end it."""
        tokens = tokens[self._writable[tokens]]
        if len(tokens) > self._tried_together.room:
            self._tried_together = _Candidates(self._api, tokens)
        self._tried_together.put(tokens)
        return tokens[self._tried_together.left_by(self._sampler)]

    def _characters(self, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
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


class _Candidates:
    """Tokens int64 [n] that are tried together, in a place that is made once: making it takes longer than trying a few.

    `room` is how many have room in it.
    """

    def __init__(self, api: Any, tokens: NDArray[np.int64]) -> None:
        self._api = api
        self.room = len(tokens)
        self._rows = np.zeros(self.room, CANDIDATE)
        self._array = api.llama_token_data_array(
            data=self._rows.ctypes.data_as(api.llama_token_data_p), size=self.room, selected=-1, sorted=False
        )
        self._pointer = ctypes.pointer(self._array)
        self.put(tokens)

    def put(self, tokens: NDArray[np.int64]) -> None:
        """Try these from now on."""
        self.tokens = tokens
        self._array.size = len(tokens)
        self._ids, self._logits = (self._rows[name][: len(tokens)] for name in ("id", "logit"))
        self._ids[:] = tokens

    def left_by(self, sampler: Any) -> NDArray[np.bool_]:
        """Apply a grammar; returns which of the tokens it leaves, bool [n]."""
        self._logits[:] = 0.0
        self._api.llama_sampler_apply(sampler, self._pointer)
        left: NDArray[np.bool_] = np.isfinite(self._logits)
        return left


def choose(api: Any, chain: Any | None, grammar: Grammar, logits: NDArray[np.float32]) -> int:
    """Choose a token by the chain, or without one the likeliest, among those the grammar allows, and tell both.

    One is chosen among all tokens first: mostly that is allowed, and trying one is a
    thousandth of the work of trying them all. `logits` are float32 [vocabulary].

    Raises `ModelError` when the vocabulary cannot write what must come next.
    """
    token = int(logits.argmax()) if chain is None else _chosen(api, chain, logits)
    if not grammar.allows(token):
        if chain is None:
            token = _likeliest_allowed(grammar, logits)
        else:
            token = _chosen(api, chain, logits, _allowed(grammar, logits))
    grammar.accept(token)
    if chain is not None:
        api.llama_sampler_accept(chain, token)
    return token


def choose_freely(api: Any, chain: Any, logits: NDArray[np.float32]) -> int:
    """Choose a token by the chain, as `llama_sampler_sample` does, from logits float32 [vocabulary] of any origin."""
    token = _chosen(api, chain, logits)
    api.llama_sampler_accept(chain, token)
    return token


def _likeliest_allowed(grammar: Grammar, logits: NDArray[np.float32]) -> int:
    """Try the likeliest few of a large vocabulary before all."""
    token = None
    if len(logits) > SMALL:
        token = grammar.likeliest(np.flatnonzero(logits >= np.partition(logits, -FEW)[-FEW]), logits)
    if token is None:
        token = grammar.likeliest(grammar.possible(), logits)
    if token is None:
        raise _nothing_allowed()
    return token


def _allowed(grammar: Grammar, logits: NDArray[np.float32]) -> NDArray[np.int64]:
    allowed = grammar.allowed()
    allowed = allowed[np.isfinite(logits[allowed])]
    if not len(allowed):
        raise _nothing_allowed()
    return allowed


def _nothing_allowed() -> ModelError:
    return ModelError("the language model's vocabulary has no token for what the schema wants next")


def _chosen(api: Any, chain: Any, logits: NDArray[np.float32], tokens: NDArray[np.int64] | None = None) -> int:
    """Choose one of tokens int64 [n], or of all, by their logits float32 [vocabulary]."""
    candidates = np.zeros(len(logits if tokens is None else tokens), CANDIDATE)
    candidates["id"] = np.arange(len(logits)) if tokens is None else tokens
    candidates["logit"] = logits if tokens is None else logits[tokens]
    array = api.llama_token_data_array(
        data=candidates.ctypes.data_as(api.llama_token_data_p), size=len(candidates), selected=-1, sorted=False
    )
    api.llama_sampler_apply(chain, ctypes.byref(array))
    return int(array.data[array.selected].id)
