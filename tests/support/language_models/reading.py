"""Texts and embeddings read by a language model from an empty memory."""

from __future__ import annotations

import numpy as np
from support.tiny_gguf import embedding_table

from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.segments import ImageSegment, TextSegment

PROMPT = "<|im_start|>user\nhello, wörld 你好 🙂<|im_end|>\n<|im_start|>assistant\n"


def logits_of(model: LanguageModel, *segments: TextSegment | ImageSegment) -> np.ndarray:
    model.clear()
    model.prefill(segments)
    return model.logits()


def embedded(model: LanguageModel, text: str) -> ImageSegment:
    """The embeddings that the model itself would look up for `text`."""
    return ImageSegment(embedding_table()[model.vocabulary.tokenize(text)])
