"""Several answers to one prompt, which is read once: the model goes back to its end for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.generation.writing import write_answer
from uhd_edge.runtime.llm.sampling import HIGHEST_SEED

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import numpy as np
    from numpy.typing import NDArray

    from uhd_edge.runtime.bundles.manifest import Prompt
    from uhd_edge.runtime.conversation.request import Settings
    from uhd_edge.runtime.generation.writing import WrittenAnswer
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.llm.sampling import Sampling
    from uhd_edge.runtime.llm.state import SavedState


@dataclass(frozen=True, eq=False)
class _Place:
    """The end of a prompt: its position, the logits float32 [vocabulary] there, the state of recurrent layers."""

    position: int
    logits: NDArray[np.float32]
    state: SavedState | None


def write_answers(
    settings: Settings,
    model: LanguageModel,
    prompt: Prompt,
    *,
    in_thoughts: bool,
    on_token: Callable[[], None] = lambda: None,
) -> Generator[str, None, tuple[WrittenAnswer, ...]]:
    """Generate the settings' number of answers, each as `write_answer` does, with one seed after the other.

    The pieces of text are those of the first answer; those of the others are empty.
    """
    place = _note_place(model) if settings.answers > 1 else None
    first = yield from write_answer(settings, model, prompt, in_thoughts=in_thoughts, on_token=on_token)
    answers = [first]
    for number in range(1, settings.answers):
        if place is None or settings.sampling.temperature == 0:
            answers.append(first)  # it would be written once more
            continue
        _return_to(place, model)
        again = replace(settings, sampling=_reseeded(settings.sampling, number))
        answers.append((yield from _silently(write_answer(again, model, prompt, in_thoughts=in_thoughts))))
    return tuple(answers)


def _reseeded(sampling: Sampling, number: int) -> Sampling:
    return replace(sampling, seed=(sampling.seed + number) % (HIGHEST_SEED + 1))


def _note_place(model: LanguageModel) -> _Place:
    return _Place(model.position, model.logits(), model.save(whole=False) if model.is_recurrent else None)


def _return_to(place: _Place, model: LanguageModel) -> None:
    if place.state is None:
        model.rewind(place.position)
    else:
        model.restore(place.state)
    model.keep_logits(place.logits)


def _silently(writing: Generator[str, None, WrittenAnswer]) -> Generator[str, None, WrittenAnswer]:
    while True:
        try:
            next(writing)
        except StopIteration as end:
            written: WrittenAnswer = end.value
            return written
        yield ""
