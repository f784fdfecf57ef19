"""Two names for one thing: equal values are taken, different ones are refused in a line that names both places."""

from __future__ import annotations

import re
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from support.server.asking import AGENT, asked, chat, ollama_chat, ollama_generate, responses

from uhd_edge.server.errors import ApiError
from uhd_edge.server.ollama.dialects import Ollama
from uhd_edge.server.openai.chat import ChatCompletions
from uhd_edge.server.openai.same_meaning import OF_CHATS, OF_OLLAMA, OF_RESPONSES
from uhd_edge.server.openai.tidying import _OF_PROCESSORS, _SAME
from uhd_edge.server.responses.dialect import Responses

if TYPE_CHECKING:
    from uhd_edge.server.dialect import Asked, Dialect

URI = "data:;base64,AAAA"
CHAT_PARTS = [
    {"type": "image_url", "image_url": {"url": URI}},
    {"type": "video_url", "video_url": {"url": URI}},
    {"type": "text", "text": "What?"},
]
RESPONSE_PARTS = [{"type": "input_image", "image_url": URI}, *CHAT_PARTS[1:2], {"type": "input_text", "text": "What?"}]
SEEN = {
    chat: {"messages": [{"role": "user", "content": CHAT_PARTS}]},
    responses: {"input": [{"role": "user", "content": RESPONSE_PARTS}]},
    ollama_chat: {"messages": [{"role": "user", "content": "What?", "images": [URI]}]},
    ollama_generate: {"prompt": "What?", "images": [URI]},
}
A = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
B = {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]}


def whole(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def flat(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "name": "x", "schema": schema}


# By place: how two different wishes are written there.
Written = dict[str, tuple[Any, Any]]
EVERYWHERE = ("", "mm_processor_kwargs.", "media_io_kwargs.video.")
LIMITS: Written = dict.fromkeys(
    ("max_completion_tokens", "max_output_tokens", "max_tokens", "n_predict", "num_predict"), (5, 7)
)
FORMATS: Written = {
    "response_format": (whole(A), whole(B)),
    "guided_json": (A, B),
    "structured_outputs.json": (A, B),
}
RANKED: Written = {"logprobs": (True, False), "top_logprobs": (2, 0)}
SWITCH = (True, False)
OF_BOTH: list[Written] = [
    dict.fromkeys(("repetition_penalty", "repeat_penalty"), (1.1, 1.3)),
    dict.fromkeys(("mode", "mm_processor_kwargs.downsample_mode"), ("4x", "16x")),
    dict.fromkeys(("max_slices", "max_slice_nums", "mm_processor_kwargs.max_slice_nums"), (1, 9)),
    dict.fromkeys(
        ("think_tokens", "reasoning_budget", "thinking_budget", "thinking.budget_tokens", "reasoning.max_tokens"),
        (8, 64),
    ),
    {
        "think": SWITCH,
        "thinking": ({"type": "enabled"}, {"type": "disabled"}),
        "enable_thinking": SWITCH,
        "reasoning_effort": ("high", "none"),
        "reasoning.effort": ("low", "minimal"),
        "reasoning.enabled": SWITCH,
        "chat_template_kwargs.enable_thinking": SWITCH,
        "chat_template_kwargs.thinking": SWITCH,
        "chat_template_kwargs.enable_reasoning": SWITCH,
    },
    *[
        {f"{place}{name}": (4, 16) for place in EVERYWHERE for name in names}
        for names in (
            ("min_pixels",),
            ("max_pixels",),
            ("fps",),
            ("max_frames", "num_frames", "nframes", "max_num_frames"),
        )
    ],
]
IN_CHATS = [*OF_BOTH, LIMITS, FORMATS, RANKED]
IN_RESPONSES = [
    *OF_BOTH,
    LIMITS,
    {**FORMATS, "text.format": (flat(A), flat(B))},
    {**RANKED, "include": (["message.output_text.logprobs"], [])},
]
OURS: Written = {
    "mode": ("4x", "16x"),
    "budget_share": (0.5, 0.7),
    **dict.fromkeys(("max_slices", "min_pixels", "max_pixels", "think_tokens"), (2, 8)),
    "budget_ms": (5000, 9000),
}
IN_OLLAMA = [{name: two, f"options.{name}": two} for name, two in OURS.items()]
TABLES: list[tuple[Dialect, list[Written]]] = [
    (chat, IN_CHATS),
    (responses, IN_RESPONSES),
    (ollama_chat, IN_OLLAMA),
    (ollama_generate, IN_OLLAMA),
]


def body(*said: tuple[str, Any]) -> dict[str, Any]:
    """A body with values at dotted places."""
    whole_body: dict[str, Any] = {}
    for place, value in said:
        *above, name = place.split(".")
        inner = whole_body
        for one in above:
            inner = inner.setdefault(one, {})
        inner[name] = {**inner.get(name, {}), **value} if isinstance(value, dict) else value
    return whole_body


def meant(question: Asked) -> tuple[Any, ...]:
    schema = question.options.get("schema")
    others = {name: value for name, value in question.options.items() if name != "schema"}
    return others, getattr(schema, "grammar", schema), question.media


@pytest.mark.parametrize(("dialect", "tables"), TABLES)
def test_every_name_is_followed_where_it_stands_alone(dialect: Dialect, tables: list[Written]) -> None:
    for meaning in tables:
        nothing, first = meant(asked(dialect, **SEEN[dialect])), next(iter(meaning.items()))
        for place, (one, _) in meaning.items():
            question = asked(dialect, **SEEN[dialect], **body((place, one)))
            assert question.ignored == (), place
            assert meant(question) != nothing, place
            if first[0] != "logprobs":
                assert meant(question) == meant(asked(dialect, **SEEN[dialect], **body((first[0], first[1][0])))), place


@pytest.mark.parametrize(("dialect", "tables"), TABLES)
def test_of_two_names_for_one_thing_both_may_say_the_same(dialect: Dialect, tables: list[Written]) -> None:
    for meaning in tables:
        for (place, (one, _)), (other, (same, _)) in permutations(meaning.items(), 2):
            question = asked(dialect, **SEEN[dialect], **body((place, one), (other, same)))
            assert question.ignored == (), (place, other)
            if "logprobs" not in meaning:
                assert meant(question) == meant(asked(dialect, **SEEN[dialect], **body((place, one)))), (place, other)


@pytest.mark.parametrize(("dialect", "tables"), TABLES)
def test_two_names_that_contradict_each_other_are_refused_and_named(dialect: Dialect, tables: list[Written]) -> None:
    for meaning in tables:
        for (place, (one, _)), (other, (_, different)) in permutations(meaning.items(), 2):
            if different in (0, []):
                continue  # which asks for nothing
            with pytest.raises(ApiError) as refused:
                asked(dialect, **SEEN[dialect], **body((place, one), (other, different)))
            found = re.fullmatch(r"(\S+) and (\S+) contradict each other; send one of them", str(refused.value))
            assert found, (place, other, str(refused.value))
            assert {*found.groups()} == {place, other}
            assert (refused.value.status, refused.value.param) == (400, found[1])
            assert refused.value.code == "invalid_parameter_combination"


@pytest.mark.parametrize(
    ("table", "known", "besides"),
    [
        (OF_CHATS, IN_CHATS, {"response_format.json_schema.schema"}),
        (OF_RESPONSES, IN_RESPONSES, {"response_format.json_schema.schema", "text.format.schema", "input"}),
        (OF_OLLAMA, [*IN_OLLAMA, RANKED], set[str]()),
    ],
)
def test_no_meaning_of_the_table_is_untried(table: Any, known: list[Written], besides: set[str]) -> None:
    assert {frozenset(meaning) for meaning in table if not besides & set(meaning)} == {frozenset(one) for one in known}


def test_all_names_that_are_translated_stand_in_the_table() -> None:
    translated = [*_SAME.items(), *((f"mm_processor_kwargs.{name}", ours) for name, ours in _OF_PROCESSORS.items())]
    for table in (OF_CHATS, OF_RESPONSES):
        assert [pair for pair in translated if not any({*pair} <= meaning.keys() for meaning in table)] == []


@pytest.mark.parametrize(
    ("dialect", "said", "places"),
    [
        (
            chat,
            {"response_format": {**whole(A), "schema": B}},
            "response_format.schema and response_format.json_schema",
        ),
        (responses, {"text": {"format": {**whole(A), "schema": B}}}, "text.format.json_schema.schema and text.format"),
        (responses, {"messages": [{"role": "user", "content": "x"}]}, "messages and input"),
        (chat, {"guided_json": '{"type": "object"}', "response_format": {"type": "text"}}, "guided_json and response_"),
        (chat, {"max_tokens": True, "max_completion_tokens": 1}, "max_tokens and max_completion_tokens"),
        (chat, {"max_tokens": -1, "n_predict": 5}, "n_predict and max_tokens"),
        (ollama_chat, {"logprobs": False, "top_logprobs": 2}, "top_logprobs and logprobs"),
        (ChatCompletions(AGENT, strict=True), {"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens and max_comp"),
        (
            ChatCompletions(AGENT, strict=True),
            {"think": True, "reasoning_effort": "none"},
            "reasoning_effort and think",
        ),
        (Responses(AGENT, strict=True), {"think": True, "reasoning": {"effort": "none"}}, "reasoning.effort and think"),
        (Ollama(AGENT, "chat", strict=True), {"mode": "4x", "options": {"mode": "16x"}}, "mode and options.mode"),
    ],
)
def test_other_contradictions_are_refused_too(dialect: Dialect, said: dict[str, Any], places: str) -> None:
    with pytest.raises(ApiError, match=f"^{re.escape(places)}.* contradict each other"):
        asked(dialect, **said)


@pytest.mark.parametrize(
    "said",
    [
        {"think": "high", "reasoning_effort": "low", "thinking": {"type": "adaptive"}},
        {"reasoning_effort": "auto", "think": False},
        {"guided_json": '{"type": "object"}', "response_format": {"type": "json_object"}},
        {"max_tokens": 5.0, "max_completion_tokens": 5},
        {"max_tokens": None, "max_completion_tokens": 5},
        {"logprobs": False, "top_logprobs": 0},
        {"fps": 2, "mm_processor_kwargs": {"fps": 2.0}, "media_io_kwargs": {"video": {"num_frames": 4}}},
    ],
)
def test_what_agrees_in_other_words_is_taken(said: dict[str, Any]) -> None:
    assert asked(chat, **said).ignored == ()


def test_what_an_api_does_not_read_does_not_count_beside_what_it_reads() -> None:
    question = asked(ollama_chat, temperature=0.9, max_tokens=5, options={"temperature": 0.1, "num_predict": 7})
    assert (question.options["temperature"], question.options["max_tokens"]) == (0.1, 7)
    assert question.ignored == ("temperature", "max_tokens")
