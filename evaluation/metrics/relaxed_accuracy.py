"""Relaxed accuracy: numbers that are read from charts may be off by 5 %."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uhd_edge.evaluation.metrics.reference import Reference

TOLERANCE = 0.05


def relaxed_accuracy(answer: str, reference: Reference) -> float:
    """Return 1 where the answer is a number within 5 % of a right one, or the same text; else 0.

    Masry et al., "ChartQA" (arXiv 2203.10244), section 5.1, computed as by `relaxed_correctness` in
    google-research/pix2struct: `7%` is 0.07, a right answer of 0 must be met as text, and the case of text does not
    count.
    """
    return float(any(_is_near(answer.strip(), right.strip()) for right in reference.answers))


def _is_near(answer: str, right: str) -> bool:
    given, true = _number(answer), _number(right)
    if given is None or not true:
        return answer.lower() == right.lower()
    return abs(given - true) / abs(true) <= TOLERANCE


def _number(text: str) -> float | None:
    """Parse a number or a percentage; `nan` and `inf` are words."""
    try:
        value = float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
