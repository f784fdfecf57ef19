"""Whatever a model writes by the grammar of a call can be read as a call that fits the tool's parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.schemas.drawn import SCHEMAS
from support.schemas.fitting import fits

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.llm.opening import open_language_model
from uhd_edge.runtime.llm.sampling import Sampling
from uhd_edge.runtime.llm.streaming import TextStream
from uhd_edge.runtime.tools.call_format import read_call
from uhd_edge.runtime.tools.call_grammar import build_call_grammar
from uhd_edge.runtime.tools.given_tools import parse_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.tools.call_format import CallFormat
    from uhd_edge.runtime.tools.tool_set import Tool


@pytest.fixture(scope="module")
def model() -> Iterator[LanguageModel]:
    with open_language_model(Bundle.open(), context=1024) as model:
        yield model


def tool(parameters: dict[str, Any], name: str = "move") -> Tool:
    (parsed,) = parse_tools([{"name": name, "parameters": parameters}], "auto").tools
    return parsed


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    properties=st.dictionaries(st.sampled_from(["a", "b_1", "C-x"]), SCHEMAS, max_size=3),
    required=st.booleans(),
    call_format=st.sampled_from(["tags", "json"]),
    sampling=st.builds(Sampling, temperature=st.sampled_from([0.0, 1.0, 5.0]), seed=st.integers(0, 2**31)),
)
def test_what_a_model_writes_is_a_call_that_fits(
    model: LanguageModel, properties: Any, required: bool, call_format: CallFormat, sampling: Sampling
) -> None:
    parameters = {"type": "object", "properties": properties, "required": sorted(properties) if required else []}
    tools = [tool(parameters), tool({}, "stop")]
    model.clear()
    model.prefill([model.vocabulary.tokenize("How many objects are there?")])
    grammar = build_call_grammar(tools, call_format)
    tokens = model.generate(sampling, max_tokens=400, grammar=grammar)
    stream = TextStream(tokens, model.vocabulary, Bundle.open().manifest.prompt.stop_ids)
    text = "".join(stream)
    if stream.finish_reason == "stop":
        call = read_call(text, tools, call_format)
        assert call is not None
        if call.name == "move":
            jsonschema.Draft202012Validator(parameters).validate(dict(call.arguments))
        else:
            assert call.arguments == {}


@pytest.mark.parametrize("call_format", ["tags", "json"])
def test_each_of_several_tools_may_be_called_with_its_own_parameters(
    model: LanguageModel, call_format: CallFormat
) -> None:
    named = {
        name: tool({"type": "object", "properties": {f"{name}_{n}": {"type": "integer"} for n in range(count)}}, name)
        for name, count in (("move", 2), ("turn", 1), ("stop", 0))
    }
    grammar = build_call_grammar(tuple(named.values()), call_format)
    for name, called in named.items():
        keys = called.parameters["properties"]
        if call_format == "json":
            text = json.dumps({"name": name, "arguments": dict.fromkeys(keys, 5)})
        else:
            values = "".join(f"<parameter={key}>\n5\n</parameter>\n" for key in keys)
            text = f"<function={name}>\n{values}</function>"
        assert fits(model, grammar, text), text
        assert not fits(model, grammar, text.replace(f"{name}_0", "other")) or not keys


TEXTS = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


@pytest.mark.parametrize(
    "value",
    [
        "door",
        "",
        "the door\nand back\n",
        " a ",
        '"quoted"',
        "1 < 2",
        "<b>",
        "a </b> c",
        "{}",
        "5",
        "é你🙂",
        "a\n",
    ],
)
def test_a_text_is_written_as_it_is(model: LanguageModel, value: str) -> None:
    text = f"<function=move>\n<parameter=text>\n{value}\n</parameter>\n</function>"
    call = read_call(text, [tool(TEXTS)], "tags")
    assert call is not None
    assert call.arguments == {"text": value}
    assert fits(model, build_call_grammar([tool(TEXTS)], "tags"), text)


@pytest.mark.parametrize(
    "text",
    [
        "<function=fly>\n</function>",
        "<function=move>\n</function>",
        "<function=move>\n<parameter=text>\na\n</parameter>\n",
        "<function=move>\n<parameter=texts>\na\n</parameter>\n</function>",
        "<function=move>\n<parameter=text>\na\n</parameter>\n<parameter=text>\na\n</parameter>\n</function>",
        "<function=move>\n<parameter=text>\na</parameter>\n\n</parameter>\n</function>",
        'move(text="a")',
        "",
    ],
)
def test_the_grammar_refuses_what_is_no_call_of_the_tool(model: LanguageModel, text: str) -> None:
    assert not fits(model, build_call_grammar([tool(TEXTS)], "tags"), text)


def test_values_that_could_be_a_number_as_well_as_a_text_have_quotes(model: LanguageModel) -> None:
    either = tool({"type": "object", "properties": {"x": {"type": ["string", "integer"]}}, "required": ["x"]})
    for written, value in (("5", 5), ('"5"', "5")):
        text = f"<function=move>\n<parameter=x>\n{written}\n</parameter>\n</function>"
        assert fits(model, build_call_grammar([either], "tags"), text)
        call = read_call(text, [either], "tags")
        assert call is not None
        assert call.arguments == {"x": value}


@pytest.mark.parametrize(
    "parameters",
    [
        {"properties": {"a\nb": {"type": "string"}}},
        {"properties": {"a": False}, "required": ["a"]},
        {"properties": {"a": {"type": "integer", "minimum": 3, "maximum": 1}}, "required": ["a"]},
        {"properties": {"a": {"$ref": "other.json"}}},
        {"properties": {"a": {"$ref": "#/$defs/missing"}}},
        {"properties": {}, "required": ["a"]},
        {"properties": 3},
        {"properties": {"a": {"type": "strin"}}, "required": ["a"]},
        {"properties": {"a": {"type": 5}}},
    ],
)
def test_parameters_that_no_call_can_fit_are_refused_in_one_line(parameters: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"the parameters of move|\('move'\): the parameters"):
        build_call_grammar([tool({"type": "object", **parameters})], "tags")


@pytest.mark.parametrize("call_format", ["tags", "json"])
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"a": {"type": "string", "pattern": "(?=x)"}}, "cannot be kept to: the pattern"),
        ({"a": {"type": "string", "minLength": "x"}}, r"are no valid JSON schema \(ValueError"),
    ],
)
def test_of_many_tools_the_wrong_one_is_named(call_format: CallFormat, wrong: dict[str, Any], told: str) -> None:
    many = [tool({"type": "object", "properties": wrong if n == 57 else {}}, f"t{n}") for n in range(100)]
    with pytest.raises(OptionError, match=rf"^the parameters of t57 {told}"):
        build_call_grammar(many, call_format)


@pytest.mark.parametrize("call_format", ["tags", "json"])
def test_of_many_tools_that_are_too_much_together_a_few_are_named(call_format: CallFormat) -> None:
    def large(first: int) -> dict[str, Any]:
        return {"type": "object", "properties": {f"p{n}": {"const": first + n} for n in range(25)}}

    many = [tool(large(100 * n), f"t{n}") for n in range(100)]
    told = r"^the parameters of t0, t1, t2, t3, t4 and 95 more cannot be kept to: the schema unfolds to more than"
    with pytest.raises(OptionError, match=told):
        build_call_grammar(many, call_format)
    with pytest.raises(OptionError, match=r"is 'x'; it must be one of auto, none, required, t0, t1, .* and 95 more$"):
        parse_tools(many, "x")
