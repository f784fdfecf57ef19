"""llama.cpp's memory, copied as bytes and restored, to go back to an earlier place in a conversation.

A plain transformer can drop its last tokens without this. Recurrent layers, three of four
in Qwen3.5, keep only their newest state. So that state is saved during prefill, 19 MB,
without the attention cache, which takes 12 kB for every token.
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
        """Number of tokens that were read before the state was saved."""
        return len(self.history)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.data.nbytes + self.history.nbytes


def take_state(library: LlamaLibrary, context: Any, *, whole: bool) -> NDArray[np.uint8]:
    """Copy the memory of a context; raises `ModelError` when llama.cpp cannot do it."""
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
    """Restore what `take_state` copied; raises `ModelError` when llama.cpp refuses, the memory is undefined then."""
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
