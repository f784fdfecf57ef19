"""Arrays whose first items are described one by one, also where several schemas hold at once."""

from __future__ import annotations

from typing import Any

import pytest

from uhd_edge.runtime.schema.to_grammar import build_grammar

INTEGER, TEXT, TRUTH = {"type": "integer"}, {"type": "string"}, {"type": "boolean"}


@pytest.mark.parametrize(
    ("schema", "same"),
    [
        ({"allOf": [{"items": [INTEGER]}], "additionalItems": TRUTH}, {"prefixItems": [INTEGER]}),
        ({"items": [INTEGER], "additionalItems": TRUTH}, {"prefixItems": [INTEGER], "items": TRUTH}),
        ({"items": INTEGER, "additionalItems": False}, {"items": INTEGER}),
        ({"allOf": [{"items": [INTEGER]}, {"items": [{}, TEXT]}]}, {"prefixItems": [INTEGER, TEXT]}),
        (
            {"allOf": [{"items": [INTEGER], "additionalItems": TEXT}, {"items": [{}, {"maxLength": 3}]}]},
            {"prefixItems": [INTEGER, {**TEXT, "maxLength": 3}], "items": TEXT},
        ),
        (
            {"allOf": [{"prefixItems": [INTEGER]}, {"items": {"minimum": 3}}]},
            {"prefixItems": [{**INTEGER, "minimum": 3}], "items": {"minimum": 3}},
        ),
        ({"prefixItems": [INTEGER, False]}, {"prefixItems": [INTEGER], "maxItems": 1}),
        (
            {"items": [INTEGER], "allOf": [{"items": [INTEGER, TEXT]}], "additionalItems": TRUTH},
            {"items": [INTEGER, False]},
        ),
    ],
)
def test_first_items_are_those_of_all_schemas_together(schema: Any, same: Any) -> None:
    assert build_grammar({"type": "array", **schema}) == build_grammar({"type": "array", **same})
