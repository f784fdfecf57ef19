"""OCRBench: a right answer stands somewhere in the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uhd_edge.evaluation.metrics.reference import Reference

# The type and the source of OCRBench's formulas, in which spaces mean nothing and case does.
FORMULAS = frozenset({"Handwritten Mathematical Expression Recognition", "HME100k"})


def ocrbench(answer: str, reference: Reference) -> float:
    """Return 1 where the answer contains a right one, else 0.

    Liu et al., "OCRBench" (arXiv 2305.07895), as in Yuliang-Liu/MultimodalOCR, `OCRBench/example.py`: case does not
    count and a line break is a space. In formulas (categories `FORMULAS`) case counts and spaces do not.
    """
    read = _formula if reference.category in FORMULAS else _text
    return float(any(read(right) in read(answer) for right in reference.answers))


def _text(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _formula(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")
