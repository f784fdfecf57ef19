"""Every field that the official clients can send counts, is neutral, is named as ignored, or is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_type_hints

import ollama
import pytest
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params
from support.server.asking import SAID, TOOL, asked, chat, ollama_chat, ollama_generate, responses

from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from uhd_edge.server.dialect import Dialect

OBJECT = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
FORMAT = {"type": "json_schema", "name": "x", "schema": {"type": "object"}}

# By field: a value, and what becomes of it. A dict is the setting that it is, None that there is one, "ignored" that
# the header names it, "neutral" that nobody needs to know, and "refused" that it is an error.
IGNORED, NEUTRAL, REFUSED = "ignored", "neutral", "refused"
BOTH: dict[str, tuple[Any, Any]] = {
    "metadata": ({"a": "b"}, NEUTRAL),
    "model": ("uhd-tiny", NEUTRAL),
    "moderation": ({"model": "omni"}, REFUSED),
    "parallel_tool_calls": (False, {"parallel_tool_calls": False}),
    "prompt_cache_key": ("a", NEUTRAL),
    "prompt_cache_options": ({"mode": "explicit"}, NEUTRAL),
    "prompt_cache_retention": ("24h", NEUTRAL),
    "safety_identifier": ("a", NEUTRAL),
    "service_tier": ("flex", NEUTRAL),
    "store": (True, NEUTRAL),
    "stream": (True, NEUTRAL),
    "stream_options": ({"include_obfuscation": True}, NEUTRAL),
    "temperature": (0.5, {"temperature": 0.5}),
    "top_logprobs": (2, {"logprobs": 2}),
    "top_p": (0.5, {"top_p": 0.5}),
    "user": ("me", NEUTRAL),
}
CHAT: dict[str, tuple[Any, Any]] = {
    **BOTH,
    "audio": ({"voice": "x"}, REFUSED),
    "frequency_penalty": (0.5, {"frequency_penalty": 0.5}),
    "function_call": ({"name": "go"}, REFUSED),
    "functions": ([{"name": "go"}], REFUSED),
    "logit_bias": ({"5": 1}, {"logit_bias": {5: 1.0}}),
    "logprobs": (True, {"logprobs": 0}),
    "max_completion_tokens": (5, {"max_tokens": 5}),
    "max_tokens": (5, {"max_tokens": 5}),
    "messages": (SAID, NEUTRAL),
    "modalities": (["text", "audio"], REFUSED),
    "n": (2, {"answers": 2}),
    "prediction": ({"type": "content", "content": "x"}, IGNORED),
    "presence_penalty": (0.5, {"presence_penalty": 0.5}),
    "reasoning_effort": ("low", {"think": True}),
    "response_format": (OBJECT, None),
    "seed": (5, {"seed": 5}),
    "stop": (["x"], {"stop": ["x"]}),
    "tool_choice": ("none", NEUTRAL),
    "tools": ([TOOL], None),
    "verbosity": ("low", IGNORED),
    "web_search_options": ({}, REFUSED),
}
RESPONSES: dict[str, tuple[Any, Any]] = {
    **BOTH,
    "access_programs": ({"cyber": "standard"}, IGNORED),
    "background": (True, REFUSED),
    "background_options": ({"completion_window": "2h"}, IGNORED),
    "context_management": ([{"type": "compaction"}], IGNORED),
    "conversation": ("conv_1", REFUSED),
    "image": ({"context_compression": "enabled"}, IGNORED),
    "include": (["message.output_text.logprobs"], {"logprobs": 0}),
    "input": ("What?", NEUTRAL),
    "instructions": ("Look.", NEUTRAL),
    "max_output_tokens": (5, {"max_tokens": 5}),
    "max_tool_calls": (3, NEUTRAL),
    "previous_response_id": ("resp_1", REFUSED),
    "prompt": ({"id": "pmpt_1"}, REFUSED),
    "reasoning": ({"effort": "low"}, {"think": True}),
    "text": ({"format": FORMAT}, None),
    "tool_choice": ("none", NEUTRAL),
    "tools": ([{"type": "function", "name": "go"}], None),
    "truncation": ("auto", NEUTRAL),
}
# What others send to responses: names of chat completions and of other servers.
CHATTING: dict[str, tuple[Any, Any]] = {
    "max_tokens": (5, {"max_tokens": 5}),
    "max_completion_tokens": (5, {"max_tokens": 5}),
    "n_predict": (5, {"max_tokens": 5}),
    "response_format": (OBJECT, None),
    "reasoning_effort": ("low", {"think": True}),
    "seed": (5, {"seed": 5}),
    "stop": ("x", {"stop": "x"}),
    "repeat_penalty": (1.5, {"repetition_penalty": 1.5}),
    "frequency_penalty": (0.5, {"frequency_penalty": 0.5}),
    "logprobs": (True, {"logprobs": 0}),
    "n": (2, REFUSED),
    "ignore_eos": (True, REFUSED),
    "guided_regex": ("a+", REFUSED),
    "messages": (SAID, REFUSED),
    "details": (True, IGNORED),
}
OLLAMA: dict[str, tuple[Any, Any]] = {
    "model": ("uhd-tiny", NEUTRAL),
    "stream": (True, NEUTRAL),
    "options": ({"top_k": 5}, {"top_k": 5}),
    "format": ({"type": "object"}, None),
    "keep_alive": ("5m", NEUTRAL),
    "think": ("high", {"think": True}),
    "logprobs": (True, {"logprobs": 0}),
    "top_logprobs": (2, {"logprobs": 2}),
}
OLLAMA_CHAT: dict[str, tuple[Any, Any]] = {**OLLAMA, "messages": (SAID, NEUTRAL), "tools": ([TOOL], None)}
OLLAMA_GENERATE: dict[str, tuple[Any, Any]] = {
    **OLLAMA,
    "prompt": ("What?", NEUTRAL),
    "suffix": ("x", REFUSED),
    "system": ("Look.", NEUTRAL),
    "template": ("x", REFUSED),
    "context": ([1], REFUSED),
    "raw": (True, REFUSED),
    "images": (["aGk="], NEUTRAL),
    "width": (512, IGNORED),
    "height": (512, IGNORED),
    "steps": (4, IGNORED),
}
LOADING = ("numa", "num_ctx", "num_batch", "num_gpu", "main_gpu", "low_vram", "f16_kv", "use_mmap", "num_thread")
OLLAMA_OPTIONS: dict[str, tuple[Any, Any]] = {
    **dict.fromkeys((*LOADING, "use_mlock", "num_keep"), (1, NEUTRAL)),
    **dict.fromkeys(("logits_all", "vocab_only", "embedding_only"), (True, IGNORED)),
    **dict.fromkeys(("tfs_z", "repeat_last_n", "mirostat_tau", "mirostat_eta", "penalize_newline"), (5, IGNORED)),
    "seed": (5, {"seed": 5}),
    "num_predict": (5, {"max_tokens": 5}),
    "top_k": (5, {"top_k": 5}),
    "top_p": (0.5, {"top_p": 0.5}),
    "typical_p": (0.5, REFUSED),
    "temperature": (0.5, {"temperature": 0.5}),
    "repeat_penalty": (1.5, {"repetition_penalty": 1.5}),
    "presence_penalty": (0.5, {"presence_penalty": 0.5}),
    "frequency_penalty": (0.5, {"frequency_penalty": 0.5}),
    "mirostat": (1, REFUSED),
    "stop": (["x"], {"stop": ["x"]}),
}


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        (get_type_hints(completion_create_params.CompletionCreateParamsStreaming), CHAT),
        (get_type_hints(response_create_params.ResponseCreateParamsStreaming), RESPONSES),
        (ollama._types.ChatRequest.model_fields, OLLAMA_CHAT),
        (ollama._types.GenerateRequest.model_fields, OLLAMA_GENERATE),
        (ollama.Options.model_fields, OLLAMA_OPTIONS),
    ],
)
def test_no_field_of_the_official_clients_is_forgotten(fields: dict[str, Any], known: dict[str, Any]) -> None:
    assert set(fields) - set(known) == set()


@pytest.mark.parametrize(
    ("dialect", "name", "value", "fate"),
    [
        (dialect, name, *what)
        for dialect, fields in (
            (chat, CHAT),
            (responses, RESPONSES | CHATTING),
            (ollama_chat, OLLAMA_CHAT),
            (ollama_generate, OLLAMA_GENERATE),
        )
        for name, what in fields.items()
    ],
)
def test_a_field_counts_or_it_is_said_that_it_does_not(dialect: Dialect, name: str, value: Any, fate: Any) -> None:
    _judge(dialect, {name: value}, name, fate)


@pytest.mark.parametrize(("name", "what"), OLLAMA_OPTIONS.items())
def test_an_option_counts_or_it_is_said_that_it_does_not(name: str, what: tuple[Any, Any]) -> None:
    for dialect in (ollama_chat, ollama_generate):
        _judge(dialect, {"options": {name: what[0]}}, f"options.{name}", what[1])


def _judge(dialect: Dialect, body: dict[str, Any], name: str, fate: Any) -> None:
    if fate == REFUSED:
        with pytest.raises(ApiError) as refused:
            asked(dialect, **body)
        assert (refused.value.status, refused.value.param) == (400, name)
        return
    plain, question = asked(dialect), asked(dialect, **body)
    assert question.ignored == ((name,) if fate == IGNORED else ())
    set_here = {key: value for key, value in question.options.items() if plain.options.get(key) != value}
    if fate in (IGNORED, NEUTRAL):
        assert set_here.keys() <= {"tool_choice"}
    elif fate is None:
        assert set_here
    else:
        assert set_here == fate


def test_what_of_a_field_is_not_followed_is_named() -> None:
    formats = asked(responses, text={"format": FORMAT, "verbosity": "low"})
    assert ("schema" in formats.options, formats.ignored) == (True, ("text.verbosity",))
    assert asked(responses, include=["reasoning.encrypted_content"]).ignored == ("include.reasoning.encrypted_content",)


def test_a_bias_may_be_none_or_a_ban() -> None:
    assert asked(chat, logit_bias={"5": None, "6": False, "7": 1}).options["logit_bias"] == {6: -100.0, 7: 1.0}
    assert asked(chat, logit_bias={"5": None}).options == {}
