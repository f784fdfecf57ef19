"""Logits of one prompt, computed by llama.cpp and by transformers."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from support.checkpoints import load_model

from uhd_edge.runtime.llm.llama_library import llama_library

PROMPT = "<|im_start|>user\n<image>What is the code on the red circle?</image> हिन्दी<|im_end|>\n"


def gguf_logits(file: Path, ids: list[int]) -> NDArray[np.float32]:
    """The logits of every position, computed by llama.cpp with everything in FP32."""
    llama_cpp = llama_library().api
    parameters = llama_cpp.llama_model_default_params()
    parameters.use_extra_bufts = False
    parameters.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(str(file).encode(), parameters)
    context_parameters = llama_cpp.llama_context_default_params()
    context_parameters.n_ctx = context_parameters.n_batch = context_parameters.n_ubatch = 128
    context_parameters.n_threads = context_parameters.n_threads_batch = 1
    context_parameters.type_k = context_parameters.type_v = 0  # GGML_TYPE_F32
    context_parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama_cpp.llama_init_from_model(model, context_parameters)
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for place, token in enumerate(ids):
        batch.token[place], batch.pos[place], batch.logits[place] = token, place, 1
        batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
    assert llama_cpp.llama_decode(context, batch) == 0
    width = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    rows = [
        np.ctypeslib.as_array(
            ctypes.cast(llama_cpp.llama_get_logits_ith(context, place), ctypes.POINTER(ctypes.c_float)), (width,)
        ).copy()
        for place in range(len(ids))
    ]
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return np.stack(rows)


def reference_logits(checkpoint: Path, ids: list[int]) -> NDArray[np.float32]:
    with torch.no_grad():
        logits: NDArray[np.float32] = load_model(checkpoint)(input_ids=torch.tensor([ids])).logits[0].numpy()
    return logits
