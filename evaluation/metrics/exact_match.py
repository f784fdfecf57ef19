"""Exact match: the answer is one of the right ones, letter by letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uhd_edge.evaluation.metrics.reference import Reference


def exact_match(answer: str, reference: Reference) -> float:
    """Return 1 where the answer equals a right one, else 0. Case counts, whitespace around either does not.

    As `exact_match` in google-research/pix2struct, `pix2struct/metrics.py`.
    """
    return float(answer.strip() in {right.strip() for right in reference.answers})
