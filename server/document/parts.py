"""What the descriptions of addresses are put together from."""

from __future__ import annotations

from typing import Any, Final

OBJECT: Final = {"type": "object"}

EVENTS: Final = "text/event-stream"

# Before OpenAPI 3.2, the schema of a stream of events is read as that of each event.
_EVENT: Final = {
    "type": "object",
    "required": ["data"],
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
}


def ref(name: str) -> dict[str, Any]:
    """Point at a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def given(*kinds: str, **more: Any) -> dict[str, Any]:
    """Describe a parameter that may be left out, which null does too; `more` is what else its schema says."""
    return {"type": [*kinds, "null"], **more}


def record(required: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Describe an object by the schemas of what it must and of what it may have."""
    return {"type": "object", "required": list(required), "properties": {**required, **others}}


def question(summary: str, request: str, reply: dict[str, Any], *, error: str, stream: str) -> dict[str, Any]:
    """Describe an address that takes a body: the names of its schema and of the error's, and the stream's type."""
    streamed = {stream: {"schema": _EVENT if stream == EVENTS else {"type": "string"}}} if stream else {}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": ref(request)}}},
        "responses": {"200": _answer({"application/json": {"schema": reply}, **streamed}), "default": refused(error)},
    }


def got(
    summary: str,
    schema: dict[str, Any],
    *,
    error: str = "Error",
    kind: str = "application/json",
    parameters: tuple[dict[str, Any], ...] = (),
) -> dict[str, Any]:
    """Describe an address that is only looked at; `parameters` stand in its query."""
    asked = {"parameters": [{"in": "query", **one} for one in parameters]} if parameters else {}
    return {
        "summary": summary,
        **asked,
        "responses": {"200": _answer({kind: {"schema": schema}}), "default": refused(error)},
    }


def refused(error: str) -> dict[str, Any]:
    """Describe an error by the name of its schema."""
    return {"description": "An error", "content": {"application/json": {"schema": ref(error)}}}


def _answer(content: dict[str, Any]) -> dict[str, Any]:
    return {"description": "What was asked for", "content": content}
