"""Whether a grammar allows a text, by llama.cpp and a model's vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.runtime.llm.grammar_sampling import Grammar

if TYPE_CHECKING:
    from uhd_edge.runtime.llm.language_model import LanguageModel


def fits(model: LanguageModel, grammar: str, text: str) -> bool:
    """Whether a grammar allows the whole text, and an end after it."""
    state = Grammar(model._library, model.vocabulary, grammar)
    try:
        for token in model.vocabulary.tokenize(text):
            if not state.allows(token):
                return False
            state.accept(token)
        return any(state.allows(token) for token in model.vocabulary.ending.nonzero()[0].tolist())
    finally:
        state.close()
