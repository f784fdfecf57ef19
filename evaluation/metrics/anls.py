"""ANLS: how many characters of the answer are right, for text that is read from documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uhd_edge.evaluation.metrics.reference import Reference

THRESHOLD = 0.5


def anls(answer: str, reference: Reference) -> float:
    """Return 1 minus the normalized edit distance to the nearest right answer, and 0 where that is below 0.5.

    Average Normalized Levenshtein Similarity: Biten et al., "Scene Text Visual Question Answering" (arXiv
    1905.13648), equation 1, for DocVQA, InfographicVQA and ST-VQA. Case does not count, nor how long a gap between
    two words is. Where the similarity is exactly 0.5, the paper gives 0; the script of the Robust Reading
    Competition, from which published numbers come, gives 0.5, and so does this.
    """
    best = max(_similarity(answer, right) for right in reference.answers)
    return best if best >= THRESHOLD else 0.0


def _similarity(answer: str, right: str) -> float:
    longer = max(len(answer), len(right))  # of the texts as they are, as in the competition's script
    return 1 - edit_distance(_folded(answer), _folded(right)) / longer if longer else 1.0


def _folded(text: str) -> str:
    return " ".join(text.lower().split())


def edit_distance(one: str, other: str) -> int:
    """Least number of characters to insert, delete or replace to make one text of the other (Levenshtein)."""
    before = list(range(len(other) + 1))
    for row, character in enumerate(one, 1):
        current = [row]
        for column, opposite in enumerate(other, 1):
            replaced = before[column - 1] + (character != opposite)
            current.append(min(replaced, before[column] + 1, current[-1] + 1))
        before = current
    return before[-1]
