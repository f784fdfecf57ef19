"""`/openapi.json`: the addresses for OpenAI's clients, described for programs (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any, Final

from uhd_edge.runtime.release import installed_version
from uhd_edge.server.openai.chat_request import ChatRequest

_REF: Final = "#/components/schemas/"
_OBJECT: Final = {"type": "object"}
_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_COMPLETION: Final = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "chat.completion"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["index", "message"]}},
        "usage": {"type": "object", "required": ["prompt_tokens", "completion_tokens", "total_tokens"]},
    },
}
_RESPONSE: Final = {
    "type": "object",
    "required": ["id", "object", "model", "status", "output"],
    "properties": {"object": {"const": "response"}, "output": {"type": "array"}},
}
# The body of `/v1/responses`; what else it may have is told in one line if it is wrong.
_RESPONSE_REQUEST: Final = {
    "type": "object",
    "required": ["input"],
    "properties": {
        "model": {"type": "string"},
        "input": {"anyOf": [{"type": "string"}, {"type": "array", "items": _OBJECT}]},
        "instructions": {"type": ["string", "null"]},
        "max_output_tokens": {"type": ["integer", "null"]},
        "temperature": {"type": ["number", "null"]},
        "stream": {"type": ["boolean", "null"]},
        "tools": {"type": ["array", "null"], "items": _OBJECT},
    },
}


def api_document() -> dict[str, Any]:
    """Return the document. Bodies may have more than it says, unless the server is strict."""
    request = ChatRequest.model_json_schema(ref_template=_REF + "{model}")
    parts = request.pop("$defs", {})
    return {
        "openapi": "3.1.0",
        "info": {"title": "uhd-edge", "version": installed_version()},
        "paths": {
            "/v1/chat/completions": {"post": _question("Answer a conversation", "ChatRequest", _COMPLETION)},
            "/v1/responses": {"post": _question("Answer in the form of OpenAI's newer clients", "Response", _RESPONSE)},
            "/v1/models": {"get": _got("List the model, and what it can do", "application/json", _OBJECT)},
            "/health": {"get": _got("Whether the server is ready", "application/json", _OBJECT)},
            "/metrics": {"get": _got("Metrics for Prometheus", "text/plain", {"type": "string"})},
        },
        "components": {
            "schemas": {**parts, "ChatRequest": request, "Response": _RESPONSE_REQUEST, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _question(summary: str, request: str, reply: dict[str, Any]) -> dict[str, Any]:
    """Describe an address that takes a question."""
    content = {"application/json": {"schema": reply}, "text/event-stream": {"schema": {"type": "string"}}}
    refused = {"description": "An error", "content": {"application/json": {"schema": {"$ref": f"{_REF}Error"}}}}
    return {
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"{_REF}{request}"}}},
        },
        "responses": {"200": {"description": "The answer", "content": content}, "default": refused},
    }


def _got(summary: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    content = {kind: {"schema": schema}}
    return {"summary": summary, "responses": {"200": {"description": "What was asked for", "content": content}}}
