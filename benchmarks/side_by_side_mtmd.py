"""Encodes a picture with llama.cpp's mtmd, through llama-cpp-python."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class Mtmd:
    """An open mmproj, and the language model that mtmd needs to open it."""

    def __init__(self, mmproj: Path, llm: Path, threads: int) -> None:
        import llama_cpp
        from llama_cpp import mtmd_cpp

        self._api = mtmd_cpp
        self._log = llama_cpp.llama_log_callback(lambda *_: None)
        for silence in (llama_cpp.llama_log_set, mtmd_cpp.mtmd_log_set, mtmd_cpp.mtmd_helper_log_set):
            silence(self._log, ctypes.c_void_p())
        model_settings = llama_cpp.llama_model_default_params()
        model_settings.use_extra_bufts = False  # with extra buffers, some builds crash on processors with AMX
        self._model = llama_cpp.llama_model_load_from_file(str(llm).encode(), model_settings)
        settings = mtmd_cpp.mtmd_context_params_default()
        settings.use_gpu, settings.n_threads, settings.print_timings = False, threads, False
        self._width = llama_cpp.llama_model_n_embd_inp(self._model)
        self._context = mtmd_cpp.mtmd_init_from_file(str(mmproj).encode(), self._model, settings)
        if not self._context:
            raise RuntimeError(f"{mmproj}: mtmd cannot open it")

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode RGB [H, W, 3] -> float32 [n, d_llm]: the embeddings of the overview, then those of the slices."""
        api = self._api
        height, width, _ = pixels.shape
        data = np.ascontiguousarray(pixels).ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        bitmap = api.mtmd_bitmap_init(width, height, data)
        chunks = api.mtmd_input_chunks_init()
        try:
            marker = api.mtmd_default_marker()
            text = api.mtmd_input_text(marker, len(marker), False, True)
            bitmaps = (api.mtmd_bitmap_p_ctypes * 1)(bitmap)
            if api.mtmd_tokenize(self._context, chunks, ctypes.byref(text), bitmaps, 1):
                raise RuntimeError("mtmd cannot cut the picture")
            return np.concatenate([self._encode_chunk(chunk) for chunk in self._image_chunks(chunks)])
        finally:
            api.mtmd_input_chunks_free(chunks)
            api.mtmd_bitmap_free(bitmap)

    def _image_chunks(self, chunks: Any) -> list[Any]:
        every = [self._api.mtmd_input_chunks_get(chunks, i) for i in range(self._api.mtmd_input_chunks_size(chunks))]
        image = self._api.MTMD_INPUT_CHUNK_TYPE_IMAGE
        return [chunk for chunk in every if self._api.mtmd_input_chunk_get_type(chunk) == image]

    def _encode_chunk(self, chunk: Any) -> NDArray[np.float32]:
        if self._api.mtmd_encode_chunk(self._context, chunk):
            raise RuntimeError("mtmd cannot encode the picture")
        count = self._api.mtmd_input_chunk_get_n_tokens(chunk)
        output = self._api.mtmd_get_output_embd(self._context)
        return np.ctypeslib.as_array(output, (count, self._width)).copy()
