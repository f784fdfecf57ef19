"""Multiple choice: which of the options an answer means, by its letter or by its text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.evaluation.metrics.reference import Reference

NEAR_THE_END = 4  # words: a letter further ahead may be an article, as in "A dog is .."
_SPACED = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_STATED = re.compile(r"(?i:answer\s+is)\s+\**([A-Db-d]\b(?!')|a(?=\W*$))")


def multiple_choice(answer: str, reference: Reference) -> float:
    """Return 1 where the answer means the right option, else 0; an answer that fits no single option is wrong."""
    return float(option_of(answer, reference.choices) in reference.answers)


def option_of(answer: str, choices: Mapping[str, str]) -> str | None:
    """Find the letter of the option that an answer means; None where it cannot be told.

    The rules of VLMEvalKit (`vlmeval/utils/matching_util.py`, `can_infer`) without a language model as a judge: the
    one letter that stands alone among the last words, or else "the answer is B", or else the one option whose text
    stands in an answer that is not much longer than the options. There is one difference: behind "the answer is"
    VLMEvalKit takes the first letter of any word, so that "a dog" is A and "blue" is B. Here the letter is a word of
    its own, and an `a` that another word follows is an article.
    """
    words = answer.translate(_SPACED).split()
    letters = [letter for letter in choices if letter in words]
    if len(letters) == 1 and words.index(letters[0]) >= len(words) - NEAR_THE_END:
        return letters[0]
    stated = _STATED.search(answer)
    if stated and stated[1].upper() in choices:
        return stated[1].upper()
    return _by_text(answer, choices)


def _by_text(answer: str, choices: Mapping[str, str]) -> str | None:
    if len(answer) > 2 * sum(map(len, choices.values())):
        return None
    named = [letter for letter, text in choices.items() if text.lower() in answer.lower()]
    return named[0] if len(named) == 1 else None
