"""The addresses for Ollama's clients, described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uhd_edge.server.document.parts import OBJECT, given, got, question, record
from uhd_edge.server.openai.chat_request import ChatRequest
from uhd_edge.server.openai.same_meaning import BESIDE_OLLAMAS

if TYPE_CHECKING:
    from uhd_edge.server.model_facts import ModelFacts

_ERROR: Final = "OllamaError"
_LINES: Final = "application/x-ndjson"
_TEXT: Final = {"type": "string"}
_WHOLE: Final = {"type": "integer", "minimum": 0}
_DETAILS: Final = record({"format": _TEXT, "family": _TEXT, "quantization_level": _TEXT})
_LISTED: Final = record(
    {
        "name": _TEXT,
        "model": _TEXT,
        "modified_at": {"type": "string", "format": "date-time"},
        "size": _WHOLE,
        "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "details": _DETAILS,
    },
    context_length=_WHOLE,
)
_SHOWN: Final = record(
    {
        "details": _DETAILS,
        "model_info": OBJECT,
        "capabilities": {"type": "array", "items": {"enum": ["completion", "vision", "tools", "thinking"]}},
    },
    template=_TEXT,
    modified_at=_TEXT,
)
_HEAD: Final = {"model": _TEXT, "created_at": {"type": "string", "format": "date-time"}, "done": {"const": True}}
_COUNTS: Final = dict.fromkeys(
    ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"),
    _WHOLE,
)
_REASON: Final = {"done_reason": {"enum": ["stop", "length", "load", "unload"]}}
_SAID: Final = record({"role": {"const": "assistant"}, "content": _TEXT}, tool_calls={"type": "array"})
_MESSAGE: Final = record(
    {"role": {"enum": ["system", "developer", "user", "assistant", "tool"]}},
    content=given("string"),
    thinking=given("string"),
    images=given("array", items=_TEXT),
    tool_calls=given("array", items=OBJECT),
    tool_name=given("string"),
)


def ollama_paths() -> dict[str, Any]:
    """Describe the addresses, by their paths."""
    listed = record({"models": {"type": "array", "items": _LISTED}})
    chat = record({**_HEAD, **_REASON, "message": _SAID}, **_COUNTS)
    generate = record({**_HEAD, **_REASON, "response": _TEXT}, **_COUNTS)
    asks = {"error": _ERROR, "stream": _LINES}
    return {
        "/api/chat": {"post": question("Answer a conversation of Ollama's", "OllamaChat", chat, **asks)},
        "/api/generate": {"post": question("Answer a prompt of Ollama's", "OllamaGenerate", generate, **asks)},
        "/api/show": {"post": question("What the model is", "OllamaShow", _SHOWN, error=_ERROR, stream="")},
        "/api/tags": {"get": got("List the model", listed, error=_ERROR)},
        "/api/ps": {"get": got("List the model, which is always loaded", listed, error=_ERROR)},
        "/api/version": {"get": got("The version of uhd-edge", record({"version": _TEXT}), error=_ERROR)},
    }


def ollama_schemas(model: ModelFacts) -> dict[str, Any]:
    """Describe the bodies, by their names; they may have more than that unless the server is strict."""
    chat = ChatRequest.model_json_schema()["properties"]
    names = {"model": {"type": "string", "enum": [model.name, f"{model.name}:latest"]}}
    settings = {
        "stream": given("boolean"),
        "think": given("boolean", "string"),
        "format": given("string", "object"),
        "options": given("object"),
        "keep_alive": given("string", "number"),
        "logprobs": given("boolean"),
        "top_logprobs": given("integer"),
        **{name: chat[name] for name in BESIDE_OLLAMAS},
    }
    messages = given("array", items=_MESSAGE)
    tools = given("array", items=OBJECT)
    images = given("array", items=_TEXT)
    return {
        "OllamaChat": record(names, messages=messages, tools=tools, **settings),
        "OllamaGenerate": record(names, prompt=given("string"), system=given("string"), images=images, **settings),
        "OllamaShow": record(names),
        "OllamaError": record({"error": _TEXT}),
    }
