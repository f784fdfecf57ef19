"""A body with all that may stand in one for each address, and every place in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.server.asking import TOOL, chat, ollama_chat, ollama_generate, responses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.server.dialect import Dialect

URI = "data:image/png;base64,AAAA"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
CALL = {"id": "1", "type": "function", "function": {"name": "go", "arguments": "{}"}}
PARTS = [
    {"type": "text", "text": "x"},
    {"type": "image_url", "image_url": {"url": URI, "detail": "low", "mode": "4x", "max_pixels": 900}},
    {"type": "video_url", "video_url": {"url": URI, "fps": 2, "max_frames": 3}},
]
# The same in other words, after a part that says nothing to the model and before which the others move up.
OTHER_FORMS = [
    {"type": "thinking", "thinking": "Hm."},
    {"type": "image", "source": {"type": "base64", "data": URI}, "detail": "low", "max_pixels": 9},
    {"type": "input_image", "image_url": URI, "mode": "4x"},
    {"type": "video", "video": [URI, {"url": URI}, {"type": "image_url", "image_url": {"url": URI}}], "nframes": 2},
    {"type": "video_url", "video_url": {"frames": [URI], "num_frames": 2}},
]
SETTINGS: dict[str, Any] = {
    "temperature": 0.5,
    "top_k": 5,
    "fps": 2,
    "max_pixels": 900,
    "mode": "4x",
    "chat_template_kwargs": {"enable_thinking": True},
    "stream_options": {"include_usage": True},
    "mm_processor_kwargs": {"min_pixels": 4},
}
BODIES: dict[Dialect, dict[str, Any]] = {
    chat: {
        "messages": [
            {"role": "user", "content": PARTS},
            {"role": "user", "content": OTHER_FORMS},
            {"role": "user", "content": {"type": "image", "image": URI, "min_pixels": 4}},
            {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CALL]},
            {"role": "assistant", "refusal": "No."},
            {"role": "tool", "tool_call_id": "1", "content": "done"},
            {"role": "user", "content": "What?"},
        ],
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "go"}},
        "stop": ["x"],
        "max_tokens": 5,
        "logit_bias": {"5": 1},
        "thinking": {"type": "enabled", "budget_tokens": 5},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
        **SETTINGS,
    },
    responses: {
        "instructions": "Look.",
        "input": [
            {"role": "user", "content": [{"type": "input_image", "image_url": URI, "detail": "low"}, *PARTS[2:]]},
            {"role": "user", "content": OTHER_FORMS},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "function_call", "call_id": "1", "name": "go", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "done"}]},
        ],
        "include": ["message.output_text.logprobs"],
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}},
        "tools": [{"type": "function", "name": "go", "parameters": SCHEMA}],
        "truncation": "auto",
        **SETTINGS,
    },
    ollama_chat: {
        "model": "uhd-tiny",
        "messages": [{"role": "user", "content": "What?", "images": [URI]}],
        "tools": [TOOL],
        "think": True,
        "format": SCHEMA,
        "options": {"num_predict": 5, "stop": ["x"], "mode": "4x"},
    },
    ollama_generate: {"model": "uhd-tiny", "prompt": "What?", "system": "x", "images": [URI], "options": {"top_k": 5}},
}


def places(body: Any, *at: Any) -> Iterator[tuple[Any, ...]]:
    """The steps to every value in a body."""
    for step in body if isinstance(body, dict) else range(len(body)) if isinstance(body, list) else ():
        yield (*at, step)
        yield from places(body[step], *at, step)


def value_at(body: Any, at: tuple[Any, ...]) -> Any:
    for step in at:
        body = body[step]
    return body
