"""A whole model against transformers, and five questions with known answers; run with `make test-real`.

The comparison with transformers must hold. The answers are in the table and are not judged: a model may
be wrong, and transformers' row says how often it is so without us.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle

MODES = ["16x", "4x"]


@pytest.mark.parametrize("mode", MODES)
def test_transformers_answers_the_questions(pulled: Bundle, expected: Any, mode: Any, record_property: Any) -> None:
    from support.real.sides import row_of_transformers

    require_mode(pulled, mode)
    record_property("row", astuple(row_of_transformers(mode, expected[mode])))
    assert all(one.tokens for one in expected[mode])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_embeddings_and_greedy_text_are_those_of_transformers(
    request: pytest.FixtureRequest, pulled: Bundle, precision: Any, mode: Any, record_property: Any
) -> None:
    from support.real.sides import measure_row

    require_mode(pulled, mode)
    bundle: Bundle = request.getfixturevalue("calibrated" if precision == "int8" else "pulled")
    expected: Any = request.getfixturevalue("expected")
    exact: Path = request.getfixturevalue("exact")
    found = measure_row(bundle, exact, precision, mode, expected[mode])
    record_property("row", astuple(found.row))
    assert found.failures == ()


def require_mode(bundle: Bundle, mode: Any) -> None:
    if mode not in bundle.manifest.graphs:
        pytest.skip(f"{bundle.manifest.name} has no mode {mode}")
