"""Texts and embeddings read by a language model from an empty memory."""

from __future__ import annotations

import numpy as np
from support.tiny_gguf import embedding_table

from uhd_edge.runtime.llm.chunks import PromptChunk
from uhd_edge.runtime.llm.language_model import LanguageModel

PROMPT = "<|im_start|>user\nhello, wörld 你好 🙂<|im_end|>\n<|im_start|>assistant\n"


def logits_of(model: LanguageModel, *chunks: PromptChunk) -> np.ndarray:
    model.clear()
    model.prefill(chunks)
    return model.logits()


def embedded(model: LanguageModel, text: str) -> np.ndarray:
    """The embeddings that the model itself would look up for `text`."""
    return embedding_table()[model.vocabulary.tokenize(text)]
