"""The tokens that an assistant's language model generates, in full precision if need be."""

from __future__ import annotations

from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.llm import opening
from uhd_edge.runtime.llm.language_model import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from uhd_edge.runtime.bundles.bundle import Bundle


def open_exactly(bundle: Bundle) -> Assistant:
    """An assistant whose attention cache is in FP32, as the reference's is; users' are in F16, as llama.cpp's.

    In random models F16 moves a logit by up to a hundredth of their deviation, FP32 by a hundred-thousandth.
    """
    with patch.object(opening, "LanguageModel", partial(LanguageModel, exact=True)):
        return Assistant(bundle, threads=1)


@contextmanager
def heard_tokens() -> Iterator[list[int]]:
    """A list that gets the ids of all tokens that are generated within the block, thoughts and ends included.

    Texts would say something else: what begins with the tag of thoughts is no part of an answer's text, for instance.
    """
    tokens: list[int] = []
    generate = LanguageModel.generate

    def listen(model: LanguageModel, *arguments: Any, **options: Any) -> Generator[int, None, None]:
        with closing(generate(model, *arguments, **options)) as generated:
            for token in generated:
                tokens.append(token)
                yield token

    with patch.object(LanguageModel, "generate", listen):
        yield tokens
