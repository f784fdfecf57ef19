"""JSON schemas as grammars: exact where it can be shown, and what a model writes by them is valid."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.grammar_as_regex import as_regex

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.llm.opening import open_language_model
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.llm.segments import TextSegment
from uhd_edge.runtime.llm.streaming import TextStream
from uhd_edge.runtime.schema.grammar import Choice, Repeat, Rule, Sequence, Text, with_an_end
from uhd_edge.runtime.schema.numbers import number_node
from uhd_edge.runtime.schema.pattern import pattern_node
from uhd_edge.runtime.schema.strings import FORMATS, string_node
from uhd_edge.runtime.schema.to_grammar import grammar_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.llm.language_model import LanguageModel

WHOLE = st.integers(-(10**6), 10**6)
DECIMAL = st.decimals(-1000, 1000, places=3, allow_nan=False)


@given(low=WHOLE, high=WHOLE, value=WHOLE)
@example(low=-5, high=12, value=0)
@example(low=99, high=1000, value=100)
def test_integers_between_bounds_are_exactly_those_between_them(low: int, high: int, value: int) -> None:
    fits = as_regex(number_node({"minimum": low, "maximum": high}, integer=True))
    for tried in (value, low, high, low - 1, high + 1, -low, 0):
        assert bool(re.fullmatch(fits, str(tried))) == (low <= tried <= high)
    assert not re.fullmatch(fits, f"0{abs(value)}")
    assert not re.fullmatch(fits, "-0")


@given(low=DECIMAL, high=DECIMAL, value=st.decimals(-1000, 1000, places=5, allow_nan=False), exclusive=st.booleans())
def test_numbers_between_bounds_are_exactly_those_between_them(
    low: Decimal, high: Decimal, value: Decimal, *, exclusive: bool
) -> None:
    names = ("exclusiveMinimum", "exclusiveMaximum") if exclusive else ("minimum", "maximum")
    fits = as_regex(number_node(dict(zip(names, (float(low), float(high)), strict=True)), integer=False))
    for tried in (value, low, high, (low + high) / 2):
        allowed = low < tried < high if exclusive else low <= tried <= high
        shown = f"{tried:f}"
        assert bool(re.fullmatch(fits, shown)) == (allowed and not (tried == 0 and shown.startswith("-")))
        if "." in shown and re.fullmatch(fits, shown):  # zeros at the end may be left out
            assert re.fullmatch(fits, shown.rstrip("0").rstrip("."))


@given(step=st.integers(1, 50), low=st.integers(-300, 300), span=st.integers(0, 300), value=st.integers(-700, 700))
def test_multiples_between_bounds_are_exactly_those(step: int, low: int, span: int, value: int) -> None:
    node = number_node({"minimum": low, "maximum": low + span, "multipleOf": step}, integer=True)
    assert bool(re.fullmatch(as_regex(node), str(value))) == (low <= value <= low + span and value % step == 0)


PATTERNS = [
    r"^[A-Z]{2}\d{3}$",
    r"^(red|green|blue)( (square|circle))?$",
    r"[^a-z]x*y+?",
    r"^\w+@\w+\.com$",
    r'^"quoted\\"$',
    r"^a$|^b+$",
    r"^(?:\S ?){1,5}$",
    r"^\D\W\s$",
    r"^[\d.\-]{1,8}$",
    r"line\nbreak\ttab",
    r"^é+[à-ü]$",
    r"^.{3}$",
    *FORMATS.values(),
]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=10)
@given(data=st.data())
def test_what_the_grammar_of_a_pattern_allows_is_json_that_the_pattern_finds(pattern: str, data: st.DataObject) -> None:
    content = data.draw(st.from_regex(as_regex(pattern_node(pattern), highest=0x17F), fullmatch=True))
    assert re.search(pattern, json.loads(f'"{content}"'))


@pytest.mark.parametrize("pattern", [*PATTERNS[:2], PATTERNS[3], *PATTERNS[5:8], *FORMATS.values()])
@settings(max_examples=10)
@given(data=st.data())
def test_the_grammar_of_a_pattern_allows_whatever_of_ascii_the_pattern_describes(
    pattern: str, data: st.DataObject
) -> None:
    plain = st.sampled_from([chr(point) for point in range(0x20, 0x7F) if chr(point) not in '"\\'])
    text = data.draw(st.from_regex(pattern, fullmatch=True, alphabet=plain))
    assert re.fullmatch(as_regex(pattern_node(pattern)), text)


@pytest.mark.parametrize(
    "pattern",
    [r"(?=a)b", r"(a)\1", r"(?i)a", r"a\b", r"a(^b)", r"(a*)*", "a{3000}", "a{0,3000}", "[", "x" * 1001, "(" * 500],
)
def test_a_pattern_that_no_grammar_can_keep_to_is_refused(pattern: str) -> None:
    with pytest.raises(SchemaError, match="pattern"):
        pattern_node(pattern)


@given(least=st.integers(0, 5), more=st.integers(0, 5), text=st.text(st.characters(max_codepoint=0x7E), max_size=12))
def test_lengths_are_those_of_the_string_and_not_of_its_escapes(least: int, more: int, text: str) -> None:
    fits = as_regex(string_node({"minLength": least, "maxLength": least + more}))
    assert bool(re.fullmatch(fits, json.dumps(text))) == (least <= len(text) <= least + more)


def test_what_has_no_end_is_cut_away() -> None:
    rules = {
        "tree": Choice((Text("leaf"), Rule("endless"), Sequence((Rule("tree"), Rule("tree"))))),
        "endless": Sequence((Text("("), Rule("endless"), Text(")"))),
        "maybe": Repeat(Rule("endless"), 0, None),
    }
    assert with_an_end(rules) == {
        "tree": Choice((Text("leaf"), Sequence((Rule("tree"), Rule("tree"))))),
        "maybe": Sequence(()),
    }


CLOSED = {"properties": {"a": {}}, "additionalProperties": False}
ENDLESS = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": []},
        {"type": "string", "enum": [1]},
        {"const": 1, "enum": [2]},
        {"const": 1, "enum": [True]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 3},
        {"type": "string", "minLength": 2, "maxLength": 1},
        {"type": "array", "items": {}, "minItems": 2, "maxItems": 1},
        {"type": "array", "items": False, "minItems": 1},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"allOf": [{"enum": [1, 2]}, {"enum": [3]}]},
        {
            "allOf": [
                {"required": ["b"], "properties": {"b": {}}},
                {"properties": {"a": {}}, "additionalProperties": False},
            ]
        },
        {"anyOf": []},
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, False]},
        ENDLESS,
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
    ],
)
def test_a_schema_that_nothing_fits_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaError, match="nothing fits the schema"):
        grammar_of(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#name"},
        {"$ref": "#/required/0", "required": ["a"]},
        {"$dynamicRef": "#a"},
        {"type": "string", "minLength": 3000},
        {"type": "array", "items": {}, "minItems": 3000},
        {"type": "number", "minimum": 1e30},
        {"type": "object", "properties": {f"p{n}": {"type": "string", "maxLength": 2000 - n} for n in range(200)}},
        {"type": "object", "properties": {f"p{n}": {"const": n} for n in range(2100)}},
        {"allOf": [{"anyOf": [{"minimum": n * m} for n in range(20)]} for m in (1, 2, 3)]},
    ],
)
def test_a_schema_that_cannot_be_kept_to_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaError):
        grammar_of(schema)


def test_alternatives_that_double_with_every_reference_are_refused_and_not_unfolded() -> None:
    definitions = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    with pytest.raises(SchemaError, match="simplify"):
        grammar_of({"$defs": {**definitions, "d60": {"type": "null"}}, "$ref": "#/$defs/d0"})


def test_a_choice_of_itself_adds_nothing() -> None:
    assert grammar_of({"anyOf": [{"$ref": "#"}, {"type": "null"}]}) == grammar_of({"anyOf": [{"type": "null"}]})


@pytest.fixture(scope="module")
def model() -> Iterator[LanguageModel]:
    with open_language_model(Bundle.open(), context=1024) as model:
        yield model


def answer(model: LanguageModel, schema: Any, sampling: Sampling, *, max_tokens: int = 400) -> tuple[str, str]:
    """What uhd-tiny writes by the schema's grammar alone, and why it ended."""
    model.clear()
    model.prefill([TextSegment("<|im_start|>user\nHow many objects are there?<|im_end|>\n<|im_start|>assistant\n")])
    tokens = model.generate(sampling, max_tokens=max_tokens, grammar=grammar_of(schema))
    stream = TextStream(tokens, model.vocabulary, Bundle.open().manifest.prompt.stop_ids)
    return "".join(stream), stream.finish_reason


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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    schema=SCHEMAS,
    temperature=st.sampled_from([0.0, 1.0, 5.0]),
    penalty=st.sampled_from([1.0, 1.3]),
    seed=st.integers(0, 2**31),
)
def test_what_the_model_writes_by_a_drawn_schema_is_json_that_fits_it(
    model: LanguageModel, schema: Any, temperature: float, penalty: float, seed: int
) -> None:
    sampling = Sampling(temperature=temperature, top_p=0.95, repetition_penalty=penalty, seed=seed)
    text, reason = answer(model, schema, sampling)
    if reason == "stop":
        jsonschema.Draft202012Validator(schema).validate(json.loads(text))
    else:  # it had no end in sight; what is there may begin anything
        assert len(text) > 100


@pytest.mark.parametrize("seed", range(6))
def test_a_schema_that_contains_itself_ends_in_a_value_that_fits(model: LanguageModel, seed: int) -> None:
    schema = {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "on": {"type": "boolean"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["on", "next"],
            }
        },
        "$ref": "#/$defs/node",
    }
    text, reason = answer(model, schema, Sampling(temperature=2.0, seed=seed))
    assert reason == "stop"
    jsonschema.validate(json.loads(text), schema)


@pytest.mark.parametrize("schema", [True, {"type": "object"}, {"type": "array"}])
@pytest.mark.parametrize("seed", range(4))
def test_a_schema_that_says_little_gives_json_that_is_not_nested_deeply(
    model: LanguageModel, schema: Any, seed: int
) -> None:
    text, reason = answer(model, schema, Sampling(temperature=1.5, seed=seed))
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", re.sub(r'"([^"\\]|\\.)*"?', "", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    assert deepest <= 5
    if reason == "stop":
        jsonschema.validate(json.loads(text), schema)
