"""Opening a GGUF file with llama.cpp, with one clear error for everything that can be wrong with it."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.gguf_header import GGUF_MAGIC, repeated_token
from uhd_edge.runtime.llama_library import weights_may_be_repacked

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.llama_library import LlamaLibrary


@dataclass(frozen=True)
class LlamaOptions:
    """What a llama.cpp context is opened with; see `LanguageModel`. `batch` is in tokens."""

    context: int
    batch: int
    threads: int
    exact: bool


def open_model(library: LlamaLibrary, path: Path, *, gpu_layers: int, vocabulary_is_sound: bool) -> Any:
    """Load the weights; raises `ModelError` with llama.cpp's reason. Free it with `llama_model_free`."""
    api = library.api
    check_file(path, vocabulary_is_sound=vocabulary_is_sound)
    if gpu_layers != 0 and not api.llama_supports_gpu_offload():
        raise ModelError(
            f"--gpu-layers {'all' if gpu_layers < 0 else gpu_layers}: this llama-cpp-python was built without GPU "
            "support; use 0, or install it "
            'again with CMAKE_ARGS="-DGGML_CUDA=on" pip install --no-cache-dir --force-reinstall llama-cpp-python'
        )
    parameters = api.llama_model_default_params()
    parameters.n_gpu_layers = gpu_layers
    parameters.use_extra_bufts = weights_may_be_repacked()
    library.forget_log()
    model = library.call(api.llama_model_load_from_file, os.fsencode(path), parameters, undo=api.llama_model_free)
    if not model:
        raise ModelError(f"{path}: llama.cpp cannot load this language model: {library.reason()}")
    return model


def open_context(library: LlamaLibrary, path: Path, model: Any, options: LlamaOptions) -> Any:
    """Make room for a conversation; raises `ModelError` when there is not enough memory."""
    api = library.api
    parameters = api.llama_context_default_params()
    parameters.n_ctx = options.context
    parameters.n_batch = parameters.n_ubatch = options.batch
    # Room for the logits of one token: for a whole batch it would be half a gigabyte with Qwen3.5's vocabulary.
    parameters.n_outputs_max = 1
    parameters.n_threads = parameters.n_threads_batch = options.threads
    if options.exact:
        parameters.type_k = parameters.type_v = api.GGML_TYPE_F32
        parameters.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_DISABLED
    library.forget_log()
    context = library.call(api.llama_init_from_model, model, parameters, undo=api.llama_free)
    if not context:
        raise ModelError(
            f"{path}: llama.cpp cannot make room for a context of {options.context} tokens: {library.reason()}; "
            "lower --context"
        )
    return context


def metadata(api: Any, model: Any, key: str) -> str:
    """Return a value of the GGUF's header as text, empty when it has none."""
    buffer = ctypes.create_string_buffer(256)
    length = api.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer))
    return buffer.value.decode("utf-8", errors="replace") if length >= 0 else ""


def check_file(path: Path, *, vocabulary_is_sound: bool = False) -> None:
    """Raise `ModelError` for a file that is no GGUF, or whose vocabulary would make llama.cpp abort.

    Reading the vocabulary takes a third of a second with Qwen3.5's 248k tokens;
    `vocabulary_is_sound` spares it where that is known.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(len(GGUF_MAGIC))
        repeated = repeated_token(path) if start == GGUF_MAGIC and not vocabulary_is_sound else None
    except OSError as error:
        raise ModelError(f"{path}: the language model cannot be read ({error.strerror})") from error
    if start != GGUF_MAGIC:
        raise ModelError(f"{path}: not a GGUF file (it starts with {start!r}); export the bundle again")
    if repeated is not None:
        raise ModelError(f"{path}: damaged, its vocabulary has the token {repeated!r} twice; export the bundle again")
