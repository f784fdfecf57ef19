"""Hypothesis strategies for JSON schemas, with every keyword that a grammar supports."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from support.schemas.patterns import PATTERNS

from uhd_edge.runtime.schema.strings import FORMATS

NAMES = st.text(st.sampled_from('abcXY_- "\\é\n'), min_size=1, max_size=5)
SCALARS = st.none() | st.booleans() | st.integers(-99, 99) | st.text('ab"\\é\n/', max_size=6)


@st.composite
def ranges(draw: st.DrawFn, low: str, high: str, values: st.SearchStrategy[Any]) -> dict[str, Any]:
    first, second = sorted([draw(values), draw(values)])
    return draw(st.sampled_from([{}, {low: first}, {high: second}, {low: first, high: second}]))


@st.composite
def objects(draw: st.DrawFn, parts: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, parts, min_size=1, max_size=4))
    required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True))
    additional = draw(
        st.sampled_from([{}, {"additionalProperties": False}, {"additionalProperties": {"type": "null"}}])
    )
    return {"type": "object", "properties": properties, "required": required, **additional}


@st.composite
def arrays(draw: st.DrawFn, parts: st.SearchStrategy[Any]) -> dict[str, Any]:
    first = draw(st.lists(parts, max_size=2))
    counts = draw(ranges("minItems", "maxItems", st.integers(len(first), 4)))
    return {"type": "array", "items": draw(parts), "prefixItems": first, "maxItems": 4, **counts}


LEAVES = st.one_of(
    st.builds(lambda values: {"enum": values}, st.lists(SCALARS, min_size=1, max_size=4)),
    st.builds(lambda value: {"const": value}, SCALARS | st.lists(SCALARS, max_size=3)),
    st.builds(lambda limits: {"type": "integer", **limits}, ranges("minimum", "maximum", st.integers(-5000, 5000))),
    st.builds(
        lambda limits: {"type": "number", **limits},
        ranges("minimum", "maximum", st.floats(-50, 50).map(lambda number: round(number, 4))),
    ),
    st.builds(
        lambda limits: {"type": "string", "maxLength": 9, **limits}, ranges("minLength", "maxLength", st.integers(0, 9))
    ),
    st.sampled_from(sorted(FORMATS)).map(lambda name: {"type": "string", "format": name}),
    st.sampled_from(PATTERNS).map(lambda pattern: {"type": "string", "pattern": pattern}),
    st.just({"type": ["boolean", "null"]}),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        objects(parts),
        arrays(parts),
        st.builds(lambda options: {"anyOf": options}, st.lists(parts, min_size=1, max_size=3)),
        st.builds(lambda part: {"$defs": {"part": part}, "allOf": [part]}, parts),
        st.builds(
            lambda part, most: {"type": "object", "additionalProperties": part, "maxProperties": most},
            parts,
            st.integers(0, 2),
        ),
    ),
    max_leaves=6,
)
