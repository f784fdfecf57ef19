"""What a model writes by the grammar of a schema is JSON that fits the schema."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.schemas.drawn import SCHEMAS
from support.schemas.fitting import fits

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.llm.opening import open_language_model
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.llm.streaming import TextStream
from uhd_edge.runtime.schema.to_grammar import build_grammar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.llm.language_model import LanguageModel


@pytest.fixture(scope="module")
def model() -> Iterator[LanguageModel]:
    with open_language_model(Bundle.open(), context=1024) as model:
        yield model


def answer(model: LanguageModel, schema: Any, sampling: Sampling, *, max_tokens: int = 400) -> tuple[str, str]:
    """What uhd-tiny writes by the schema's grammar alone, and why it ended."""
    model.clear()
    prompt = "<|im_start|>user\nHow many objects are there?<|im_end|>\n<|im_start|>assistant\n"
    model.prefill([model.vocabulary.tokenize(prompt)])
    tokens = model.generate(sampling, max_tokens=max_tokens, grammar=build_grammar(schema))
    stream = TextStream(tokens, model.vocabulary, Bundle.open().manifest.prompt.stop_ids)
    return "".join(stream), stream.finish_reason


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


def test_bytes_that_are_no_character_are_not_counted_as_one(model: LanguageModel) -> None:
    """With this seed, llama.cpp's own grammar lets three bytes pass that stand for no character."""
    sampling = Sampling(temperature=5.0, top_p=0.95, repetition_penalty=1.0, seed=3296)
    text, reason = answer(model, {"type": "string", "maxLength": 9}, sampling)
    assert reason == "stop"
    assert len(json.loads(text)) <= 9
    assert "\ufffd" not in text


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


def test_an_answer_may_be_any_of_several_objects(model: LanguageModel) -> None:
    kinds = {"circle": ["radius"], "box": ["width", "height", "depth"], "point": []}
    shapes = [
        {
            "type": "object",
            "properties": {"kind": {"const": kind}, **{size: {"type": "integer"} for size in sizes}},
            "required": ["kind", *sizes],
        }
        for kind, sizes in kinds.items()
    ]
    for schema in ({"anyOf": shapes}, {"type": "object", "properties": {}, "oneOf": shapes}):
        grammar = build_grammar(schema)
        for kind, sizes in kinds.items():
            assert fits(model, grammar, json.dumps({"kind": kind, **dict.fromkeys(sizes, 1)})), kind
            assert not fits(model, grammar, json.dumps({"kind": kind, **dict.fromkeys([*sizes, "more"], 1)})), kind


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
