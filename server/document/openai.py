"""The addresses for OpenAI's clients, described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uhd_edge.server.document.parts import EVENTS, OBJECT, given, got, question, record
from uhd_edge.server.openai.chat_request import ChatRequest
from uhd_edge.server.openai.own_words import OURS

if TYPE_CHECKING:
    from uhd_edge.server.model_facts import ModelFacts

_TEXT: Final = {"type": "string"}
_WHOLE: Final = {"type": "integer", "minimum": 0}
_ERROR: Final = record(
    {"error": record({"message": _TEXT, "type": _TEXT}, param=given("string"), code=given("string"))},
)
_USAGE: Final = record(dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), _WHOLE))
_CHOICE: Final = record(
    {
        "index": _WHOLE,
        "message": record({"role": {"const": "assistant"}, "content": _TEXT}),
        "finish_reason": {"enum": ["stop", "length", "tool_calls"]},
    },
    logprobs=given("object"),
)
_COMPLETION: Final = record(
    {
        "id": _TEXT,
        "object": {"const": "chat.completion"},
        "created": _WHOLE,
        "model": _TEXT,
        "choices": {"type": "array", "minItems": 1, "items": _CHOICE},
        "usage": _USAGE,
    }
)
_RESPONSE: Final = record(
    {
        "id": _TEXT,
        "object": {"const": "response"},
        "model": _TEXT,
        "status": {"enum": ["completed", "incomplete"]},
        "output": {"type": "array", "items": record({"type": {"enum": ["message", "reasoning", "function_call"]}})},
        "usage": record(dict.fromkeys(("input_tokens", "output_tokens", "total_tokens"), _WHOLE)),
    }
)
_MODEL: Final = record(
    {"id": _TEXT, "object": {"const": "model"}, "created": _WHOLE, "owned_by": _TEXT, "capabilities": OBJECT}
)


def openai_paths() -> dict[str, Any]:
    """Describe the addresses, by their paths."""
    listed = record({"object": {"const": "list"}, "data": {"type": "array", "items": _MODEL}})
    asks = {"error": "Error", "stream": EVENTS}
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/v1/chat/completions": {"post": question("Answer a conversation", "ChatRequest", _COMPLETION, **asks)},
        "/v1/responses": {
            "post": question("Answer in the form of OpenAI's newer clients", "ResponseRequest", _RESPONSE, **asks)
        },
        "/v1/models": {"get": got("List the model, and what it can do", listed)},
        "/v1/models/{name}": {"get": {**got("What the model can do", _MODEL), "parameters": [name]}},
    }


def openai_schemas(model: ModelFacts, *, strict: bool) -> dict[str, Any]:
    """Describe the bodies, by their names; they may have more than that unless the server is strict."""
    request = ChatRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = {**request.pop("$defs", {}), "ChatRequest": request}
    content = schemas["ChatMessage"]["properties"]["content"]
    schemas["ChatMessage"]["properties"]["content"] = {"anyOf": [{"type": "string"}, content]}
    names = {"type": "string", "enum": [model.name, f"{model.name}:latest"]}
    request["properties"]["model"] = names
    if not strict:
        request["required"].remove("model")
        for schema in schemas.values():
            schema.pop("additionalProperties", None)
    return {**schemas, "ResponseRequest": _response_request(names, request["properties"]), "Error": _ERROR}


def _response_request(names: dict[str, Any], chat: dict[str, Any]) -> dict[str, Any]:
    """Describe the body of `/v1/responses`; what is called as in chat completions is as there."""
    same = ("temperature", "top_p", "top_logprobs", "stream", "parallel_tool_calls", "tool_choice")
    own = sorted(OURS - {"details"})
    return record(
        {"input": {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": OBJECT}]}},
        model=names,
        instructions=given("string"),
        max_output_tokens=given("integer"),
        include=given("array", items={"type": "string"}),
        reasoning=given("object"),
        text=given("object"),
        tools=given("array", items=OBJECT),
        **{name: chat[name] for name in (*same, *own)},
    )
