"""VQA accuracy: how many of ten people gave the same answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from uhd_edge.evaluation.metrics.vqa_words import ARTICLES, CONTRACTIONS, NUMBERS

if TYPE_CHECKING:
    from uhd_edge.evaluation.metrics.reference import Reference

ENOUGH = 3  # people who agree with an answer that is fully right
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")


def vqa_accuracy(answer: str, reference: Reference) -> float:
    """Return the mean over all people of min(1, how many of the others gave this answer / 3).

    Antol et al., "VQA: Visual Question Answering" (arXiv 1505.00468), and Goyal et al. (arXiv 1612.00837), as in
    GT-Vision-Lab/VQA, `vqaEval.py`. Each person is left out once, so two of ten who agree give 0.6. Both sides are
    normalized first (`normalized`). The script does that only where the people disagree, and counts "Yes" as wrong
    where all ten say "yes"; VLMEvalKit normalizes always, and so does this.
    """
    given = normalized(answer)
    people = [normalized(right) for right in reference.answers]
    same = people.count(given)
    scores = [min(1.0, (same - (person == given)) / ENOUGH) for person in people]
    return sum(scores) / len(scores)


def normalized(text: str) -> str:
    """Lower-case, without punctuation and articles, numbers as digits, contractions with their apostrophes."""
    flat = text.replace("\n", " ").replace("\t", " ").strip()
    words = [NUMBERS.get(word, word) for word in _without_punctuation(flat).lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def _without_punctuation(text: str) -> str:
    """Drop a sign that has a space beside it, or any sign in a text with 1,000; elsewhere it becomes a space."""
    has_thousands = _COMMA_IN_NUMBER.search(text) is not None
    result = text
    for sign in PUNCTUATION:
        beside_space = f"{sign} " in text or f" {sign}" in text
        result = result.replace(sign, "" if beside_space or has_thousands else " ")
    return _PERIOD.sub("", result)
