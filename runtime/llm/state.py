"""What llama.cpp has in its memory, taken out as bytes and put back: the way to where a conversation was before.

A plain transformer forgets its last tokens without help. Recurrent layers, which three of
four are in Qwen3.5, keep nothing but their newest state, so that state is saved on the
way, without the attention cache beside it: 19 MB instead of 12 kB for every token more.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from uhd_edge.runtime.llm.llama_library import LlamaLibrary

# The one conversation that a context has.
SEQUENCE = 0


@dataclass(frozen=True, eq=False)
class SavedState:
    """The memory after its first `position` tokens: all of it if `whole`, else only that of recurrent layers.

    `history` is int32 [position], a token id or below zero the place of an image's row. It
    fits the language model that it was taken from and no other.
    """

    data: NDArray[np.uint8]
    history: NDArray[np.int32]
    whole: bool

    @property
    def position(self) -> int:
        """How many tokens the state is after."""
        return len(self.history)

    @property
    def nbytes(self) -> int:
        """What it takes to keep."""
        return self.data.nbytes + self.history.nbytes


def take_state(library: LlamaLibrary, context: Any, *, whole: bool) -> NDArray[np.uint8]:
    """Copy the memory of a context; raises `ModelError` when llama.cpp does not give it."""
    api = library.api
    flags = _flags(api, whole)
    data = np.empty(library.call(api.llama_state_seq_get_size_ext, context, SEQUENCE, flags), np.uint8)
    library.forget_log()
    written = library.call(
        api.llama_state_seq_get_data_ext, context, _pointer(data), ctypes.c_size_t(len(data)), SEQUENCE, flags
    )
    if not len(data) or written != len(data):
        raise ModelError(f"llama.cpp cannot save its memory: {library.reason()}")
    return data


def put_state(library: LlamaLibrary, context: Any, data: NDArray[np.uint8], *, whole: bool) -> None:
    """Put back what `take_state` gave; raises `ModelError` when llama.cpp refuses, and the memory is then undefined."""
    api = library.api
    library.forget_log()
    read = library.call(
        api.llama_state_seq_set_data_ext,
        context,
        _pointer(data),
        ctypes.c_size_t(len(data)),
        SEQUENCE,
        _flags(api, whole),
    )
    if read != len(data):
        raise ModelError(f"llama.cpp cannot go back to a saved memory: {library.reason()}")


def _flags(api: Any, whole: bool) -> int:
    return int(api.LLAMA_STATE_SEQ_FLAGS_NONE if whole else api.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)


def _pointer(data: NDArray[np.uint8]) -> Any:
    return data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
