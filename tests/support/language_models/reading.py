"""Lets a language model with an empty context read texts and embeddings."""

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
    """The embeddings of `text` from the model's own table of token embeddings."""
    return embedding_table()[model.vocabulary.tokenize(text)]
