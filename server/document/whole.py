"""The whole document: the addresses of every kind of client, and the small ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uhd_edge.runtime.release import installed_version
from uhd_edge.server.document.ollama import ollama_paths, ollama_schemas
from uhd_edge.server.document.openai import openai_paths, openai_schemas
from uhd_edge.server.document.parts import got, record

if TYPE_CHECKING:
    from uhd_edge.server.model_facts import ModelFacts

_FORMS: Final = (
    "Questions are described in one form of each API. Other names and forms of the same are translated, what is not "
    "known is ignored and named in the header X-UHD-Ignored, and what would change an answer and is not supported is "
    "refused."
)
_STRICT: Final = "What is not described is refused, except for what says nothing to the model."
_SECONDS: Final = {"type": "number", "exclusiveMinimum": 0, "maximum": 10**9}
_COUNT: Final = {"type": "integer", "minimum": 1}


def api_document(model: ModelFacts, *, strict: bool, page: bool) -> dict[str, Any]:
    """Return the document of a server with this model; it has the page's addresses if there is a `page`."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "uhd-edge", "version": installed_version(), "description": _STRICT if strict else _FORMS},
        "paths": {**openai_paths(), **ollama_paths(), **_small_paths(), **(_page_paths(model) if page else {})},
        "components": {
            "schemas": {**openai_schemas(model, strict=strict), **ollama_schemas(model)},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _small_paths() -> dict[str, Any]:
    healthy = record({"status": {"const": "ok"}})
    return {
        "/health": {"get": got("Whether the server is ready", healthy)},
        "/metrics": {"get": got("Metrics for Prometheus", {"type": "string"}, kind="text/plain")},
    }


def _page_paths(model: ModelFacts) -> dict[str, Any]:
    side = {"required": True, "schema": {**_COUNT, "maximum": 100_000}}
    parameters = (
        {"name": "width", **side},
        {"name": "height", **side},
        {"name": "mode", "schema": {"enum": list(model.modes)}},
        {"name": "max_slices", "schema": {**_COUNT, "maximum": 10_000}},
        {"name": "seconds", "schema": {"anyOf": [_SECONDS, {"const": "unknown"}]}, "description": "for a video"},
        {"name": "before", "schema": {"type": "integer", "minimum": 0, "maximum": 10**12}},
    )
    size = {"rows": _COUNT, "columns": _COUNT}
    grid = record({"rows": {"type": "integer", "minimum": 0}, "columns": {"type": "integer", "minimum": 0}})
    plan = record(
        {
            "mode": {"enum": list(model.modes)},
            "grid": grid,
            "views": {"type": "array", "minItems": 1, "items": record({**size, "tokens": _COUNT})},
            "tokens": _COUNT,
        },
        frames=_COUNT,
    )
    return {
        "/": {"get": got("The page", {"type": "string"}, kind="text/html")},
        "/plan": {"get": got("How a picture or a video of this size is cut", plan, parameters=parameters)},
    }
