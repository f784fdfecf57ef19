"""Whether the language model says the same when an engine's embeddings take the place of the reference's."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.runtime.llm.opening import open_language_model
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.llm.streaming import TextStream
from uhd_edge.runtime.prompt.layout import fill_slots
from uhd_edge.runtime.prompt.messages import user_message
from uhd_edge.runtime.prompt.room import PromptInputs, require_room
from uhd_edge.runtime.vision.slicing import plan_views

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.modes import Mode

# Room for the question, the template and the answer beside the vision tokens.
TEXT_TOKENS = 512


@dataclass(frozen=True)
class AnswerComparison:
    """The greedy answers to one question, with the reference's embeddings and with the tested ones."""

    picture: str
    mode: Mode
    expected: str
    given: str

    @property
    def same(self) -> bool:
        """Whether they agree in every character."""
        return self.expected == self.given


@dataclass(frozen=True)
class EmbeddingPair:
    """One picture's (width, height) and its embeddings [n, d_llm] from both engines."""

    picture: str
    mode: Mode
    size: tuple[int, int]
    expected: NDArray[np.float32]
    given: NDArray[np.float32]


def compare_answers(
    bundle: Bundle,
    pictures: Sequence[EmbeddingPair],
    *,
    question: str,
    max_slices: int | None,
    max_tokens: int,
    threads: int | None,
) -> list[AnswerComparison]:
    """Ask `question` about every picture twice, always taking the likeliest token.

    Raises `ModelError` when the language model cannot be opened and `ContextError` for a
    picture with more tokens than it was trained for.
    """
    most = max((len(picture.expected) for picture in pictures), default=0)
    with open_language_model(bundle, context=most + TEXT_TOKENS + max_tokens, threads=threads) as model:
        compared = []
        for picture in pictures:
            preprocessing = bundle.manifest.preprocessing
            plan = plan_views(*picture.size, preprocessing, mode=picture.mode, max_slices=max_slices)
            inputs = PromptInputs([user_message(question, images=1)], bundle.manifest, [plan], [None])
            expected, given = (
                _answer(model, inputs, embeddings, max_tokens) for embeddings in (picture.expected, picture.given)
            )
            compared.append(AnswerComparison(picture.picture, picture.mode, expected, given))
    return compared


def _answer(model: LanguageModel, inputs: PromptInputs, embeddings: NDArray[np.float32], max_tokens: int) -> str:
    layout = inputs.lay_out(model.vocabulary)
    require_room(layout.size, inputs, model)
    model.clear()
    model.prefill(fill_slots(layout, [embeddings]), layout.positions)
    with closing(model.generate(Sampling(), max_tokens=max_tokens)) as tokens:
        return "".join(TextStream(tokens, model.vocabulary, inputs.manifest.prompt.stop_ids))
