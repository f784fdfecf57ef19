"""A language model's vocabulary: text to token ids and back, by llama.cpp's tokenizer."""

from __future__ import annotations

import codecs
import ctypes
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.runtime.errors import OptionError, PromptError
from uhd_edge.runtime.schema.plain_json import HALVED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

# llama_token_attr of llama.cpp.
NORMAL, BYTE = 4, 32
UNKNOWN, UNUSED, CONTROL, USER_DEFINED = 1, 2, 8, 16

# A text rarely has more tokens than bytes, and then a few: a tokenizer may put a space before it.
SPARE_TOKENS = 8

ASCII = 128
NO_BYTE = 256
# Beginnings of tokens that are no bytes: the end of an answer, and none that an answer may have.
END, NOTHING = 257, 258


class Vocabulary:
    """The vocabulary of an open model; `size` counts every row of the embedding, used or not.

    It lives as long as its model and must not be used afterwards.
    """

    def __init__(self, api: Any, model: Any) -> None:
        self._api = api
        self._vocabulary = api.llama_model_get_vocab(model)
        self.size = int(api.llama_vocab_n_tokens(self._vocabulary))
        self._pieces: dict[int, bytes] = {}  # of tokens that were written, because the call takes longer
        self._ends: dict[int, bool] = {}

    @property
    def handle(self) -> Any:
        """llama.cpp's pointer to it."""
        return self._vocabulary

    @cached_property
    def ending(self) -> NDArray[np.bool_]:
        """Whether llama.cpp knows each token [size] as one that ends an answer."""
        of_token = self._api.llama_vocab_is_eog
        return np.fromiter((of_token(self._vocabulary, token) for token in range(self.size)), np.bool_, self.size)

    @cached_property
    def writable(self) -> NDArray[np.bool_]:
        """Whether each token [size] is ordinary text, not a control or user-defined token."""
        of_token = self._api.llama_vocab_get_attr
        kinds = np.fromiter((of_token(self._vocabulary, token) for token in range(self.size)), np.int64, self.size)
        writable: NDArray[np.bool_] = ((kinds & (NORMAL | BYTE)) != 0) & (
            (kinds & (UNKNOWN | UNUSED | CONTROL | USER_DEFINED)) == 0
        )
        return writable

    @cached_property
    def fragments(self) -> NDArray[np.bool_]:
        """Whether each token [size] begins or ends within a character of UTF-8."""
        of_token = self._read_bytes
        return np.fromiter((begun_after(of_token(token)) != b"" for token in range(self.size)), np.bool_, self.size)

    @cached_property
    def first_bytes(self) -> NDArray[np.int16]:
        """The first byte of each token [size]; `NO_BYTE` where it has none."""
        return self._beginnings[0]

    @cached_property
    def single_characters(self) -> NDArray[np.int64]:
        """Tokens that write one character of ASCII and end nothing, one for each that there is, int64 [n]."""
        first, alone = self._beginnings
        tokens = np.flatnonzero(self.writable & ~self.ending & alone & (first < ASCII))
        return tokens[np.unique(first[tokens], return_index=True)[1]]

    @cached_property
    def beginnings(self) -> NDArray[np.int16]:
        """What each token [size] begins with: a byte, `NO_BYTE`, `END` or `NOTHING`."""
        return np.where(self.ending, END, np.where(self.writable, self.first_bytes, NOTHING)).astype(np.int16)

    @cached_property
    def _beginnings(self) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """The first byte of each token [size], and whether it is alone."""
        pieces = [self._read_bytes(token) for token in range(self.size)]
        first = np.fromiter((piece[0] if piece else NO_BYTE for piece in pieces), np.int16, self.size)
        return first, np.fromiter((len(piece) == 1 for piece in pieces), np.bool_, self.size)

    def require(self, tokens: Iterable[int]) -> None:
        """Raise `OptionError` for the id of a token that the vocabulary does not have."""
        if unknown := [token for token in tokens if token >= self.size]:
            message = f"logit_bias has the token {unknown[0]}, but the vocabulary has {self.size}"
            raise OptionError(message, parameter="logit_bias")

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`; special tokens in it count as such, and none are added around it."""
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise PromptError(HALVED) from error
        if len(data) > np.iinfo(np.int32).max // 2:
            raise PromptError(f"the text has {len(data)} bytes, far more than any context holds; shorten it")
        ids = np.empty(len(data) + SPARE_TOKENS, np.int32)
        count = self._tokenize_into(data, ids)
        if count < 0:  # more tokens than bytes
            ids = np.empty(-count, np.int32)
            count = self._tokenize_into(data, ids)
        tokens: list[int] = ids[:count].tolist()
        return tokens

    def token_bytes(self, token: int) -> bytes:
        """Return the bytes that `token` adds to the text, perhaps half a character; none for special tokens."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._read_bytes(token)
        return piece

    def ends_answer(self, token: int) -> bool:
        """Whether llama.cpp knows `token` as one that ends an answer."""
        ends = self._ends.get(token)
        if ends is None:
            ends = self._ends[token] = bool(self._api.llama_vocab_is_eog(self._vocabulary, token))
        return ends

    def _read_bytes(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        length = self._api.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, False)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = self._api.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, False)
        return buffer.raw[:length]

    def _tokenize_into(self, data: bytes, ids: Any) -> int:
        """Fill `ids` and return their count, or the negative count wanted when `ids` is too short."""
        pointer = ids.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        return int(self._api.llama_tokenize(self._vocabulary, data, len(data), pointer, len(ids), False, True))


def begun_after(data: bytes) -> bytes | None:
    """The bytes at the end of UTF-8 that begin a character, or None for what is not UTF-8."""
    if data.isascii():
        return b""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(data)
    except UnicodeDecodeError:
        return None
    return bytes(decoder.getstate()[0])
