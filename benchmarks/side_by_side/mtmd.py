"""Encodes a picture, and answers about it, with llama.cpp's mtmd, through llama-cpp-python."""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


class Mtmd:
    """An open mmproj, and the language model that mtmd needs to open it."""

    def __init__(self, mmproj: Path, llm: Path, threads: int) -> None:
        import llama_cpp
        from llama_cpp import mtmd_cpp

        self.api = mtmd_cpp
        self._log = llama_cpp.llama_log_callback(lambda *_: None)
        for silence in (llama_cpp.llama_log_set, mtmd_cpp.mtmd_log_set, mtmd_cpp.mtmd_helper_log_set):
            silence(self._log, ctypes.c_void_p())
        model_settings = llama_cpp.llama_model_default_params()
        model_settings.use_extra_bufts = False  # with extra buffers, some builds crash on processors with AMX
        self.model = llama_cpp.llama_model_load_from_file(str(llm).encode(), model_settings)
        settings = mtmd_cpp.mtmd_context_params_default()
        settings.use_gpu, settings.n_threads, settings.print_timings = False, threads, False
        self._width = llama_cpp.llama_model_n_embd_inp(self.model)
        self.context = mtmd_cpp.mtmd_init_from_file(str(mmproj).encode(), self.model, settings)
        if not self.context:
            raise RuntimeError(f"{mmproj}: mtmd cannot open it")

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode RGB [H, W, 3] -> float32 [n, d_llm]: the embeddings of the overview, then those of the slices."""
        with self.chunks(pixels, self.api.mtmd_default_marker()) as chunks:
            return np.concatenate([self._encode_chunk(chunk) for chunk in self._image_chunks(chunks)])

    @contextmanager
    def chunks(self, pixels: NDArray[np.uint8], prompt: bytes) -> Iterator[Any]:
        """Cut RGB [H, W, 3] and a prompt, in which a marker is the picture's place, into mtmd's chunks."""
        api = self.api
        height, width, _ = pixels.shape
        data = np.ascontiguousarray(pixels).ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        bitmap = api.mtmd_bitmap_init(width, height, data)
        chunks = api.mtmd_input_chunks_init()
        try:
            text = api.mtmd_input_text(prompt, len(prompt), False, True)
            bitmaps = (api.mtmd_bitmap_p_ctypes * 1)(bitmap)
            if api.mtmd_tokenize(self.context, chunks, ctypes.byref(text), bitmaps, 1):
                raise RuntimeError("mtmd cannot cut the picture")
            yield chunks
        finally:
            api.mtmd_input_chunks_free(chunks)
            api.mtmd_bitmap_free(bitmap)

    def _image_chunks(self, chunks: Any) -> list[Any]:
        every = [self.api.mtmd_input_chunks_get(chunks, i) for i in range(self.api.mtmd_input_chunks_size(chunks))]
        image = self.api.MTMD_INPUT_CHUNK_TYPE_IMAGE
        return [chunk for chunk in every if self.api.mtmd_input_chunk_get_type(chunk) == image]

    def _encode_chunk(self, chunk: Any) -> NDArray[np.float32]:
        if self.api.mtmd_encode_chunk(self.context, chunk):
            raise RuntimeError("mtmd cannot encode the picture")
        count = self.api.mtmd_input_chunk_get_n_tokens(chunk)
        output = self.api.mtmd_get_output_embd(self.context)
        return np.ctypeslib.as_array(output, (count, self._width)).copy()


PROMPT = "<|im_start|>user\n{marker}\n{question}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
BATCH = 512


class Chat:
    """Answers about one picture after the other, greedily, each from an empty memory."""

    def __init__(self, tower: Mtmd, context: int, threads: int) -> None:
        import llama_cpp

        self._tower, self._llama = tower, llama_cpp
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_batch = context, BATCH
        settings.n_threads = settings.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(tower.model, settings)
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_greedy())
        self._sampler = chain
        self._token = 0

    def read(self, pixels: NDArray[np.uint8], question: str) -> int:
        """Read RGB [H, W, 3] and a question, and choose the first token; returns the number of tokens read."""
        api, llama = self._tower.api, self._llama
        llama.llama_memory_clear(llama.llama_get_memory(self._context), True)
        marker = api.mtmd_default_marker().decode()
        with self._tower.chunks(pixels, PROMPT.format(marker=marker, question=question).encode()) as chunks:
            past = llama.llama_pos(0)
            if api.mtmd_helper_eval_chunks(
                self._tower.context, self._context, chunks, 0, 0, BATCH, True, ctypes.byref(past)
            ):
                raise RuntimeError("mtmd cannot read the prompt")
            count = range(api.mtmd_input_chunks_size(chunks))
            read = sum(api.mtmd_input_chunk_get_n_tokens(api.mtmd_input_chunks_get(chunks, i)) for i in count)
        self._token = llama.llama_sampler_sample(self._sampler, self._context, -1)
        return int(read)

    def generate(self, tokens: int) -> None:
        """Generate as many tokens more, whatever they are."""
        llama = self._llama
        for _ in range(tokens):
            token = (llama.llama_token * 1)(self._token)
            if llama.llama_decode(self._context, llama.llama_batch_get_one(token, 1)):
                raise RuntimeError("llama.cpp cannot generate")
            self._token = llama.llama_sampler_sample(self._sampler, self._context, -1)
