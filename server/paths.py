"""The small paths: what the model is and can do, metrics, and what to say where there is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.types import Receive, Scope, Send

    from uhd_edge.server.metrics import Metrics
    from uhd_edge.server.model_facts import ModelFacts

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OLLAMA = "/api/"

# The beginnings of what other servers have, to tell it from an address that was mistyped.
_NOT_OFFERED = (
    *("/v1/completions", "/v1/embeddings", "/v1/audio", "/v1/images", "/v1/files", "/v1/batches", "/v1/moderations"),
    *("/v1/fine_tuning", "/v1/assistants", "/v1/threads", "/v1/vector_stores", "/v1/realtime", "/v1/responses/"),
    *("/v1/messages", "/api/embed", "/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete", "/api/blobs"),
)


def document_route(document: dict[str, Any]) -> Route:
    """Return the route of the description of all paths."""

    async def answer(_: Request) -> Response:
        return JSONResponse(document)

    return Route("/openapi.json", answer)


async def sign_of_life(_: Request) -> Response:
    """Answer at `/`, where there is no page; Ollama's clients look there whether a server runs."""
    return PlainTextResponse("uhd-edge is running")


def small_paths(model: ModelFacts, metrics: Metrics, questions: Iterable[str], more: Sequence[Route]) -> Starlette:
    """Return an application for all paths but those of questions, which it answers for other methods than POST.

    `more` are the routes of Ollama's clients, of the page, and of the document.
    """

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [model.to_dict()]})

    async def one_model(request: Request) -> Response:
        try:
            model.require_name(request.path_params["name"])
        except ApiError as error:
            return JSONResponse(error.body, error.status)
        return JSONResponse(model.to_dict())

    async def numbers(_: Request) -> Response:
        return Response(metrics.text(), media_type=METRICS_TYPE)

    routes = [
        Route("/health", health),
        Route("/v1/models", models),
        Route("/v1/models/{name}", one_model),
        Route("/metrics", numbers),
        *more,
        *(Route(path, _only_post) for path in questions),
    ]
    paths = Starlette(routes=routes, exception_handlers={HTTPException: _refusal})
    paths.router.redirect_slashes = False  # clients do not follow redirects of a POST, or drop its body
    return paths


class _OnlyPost:
    """Answers requests of every method but POST; Starlette would allow a function for GET alone, and say so."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = await _refusal(Request(scope), HTTPException(405, headers={"Allow": "POST"}))
        await refused(scope, receive, send)


_only_post = _OnlyPost()


async def _refusal(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    path, code = request.url.path, None
    reason = {404: "there is nothing at", 405: "another method is needed for"}.get(status, "an error at")
    message = f"{reason} {path}"
    if status == 404 and path.startswith(_NOT_OFFERED):
        message = f"this server does not offer {path}; it answers questions at /v1/chat/completions, /v1/responses, "
        message, code = f"{message}/api/chat and /api/generate", "not_offered"
    refused = ApiError(status, message, code=code)
    body = {"error": message} if path.startswith(OLLAMA) else refused.body
    return JSONResponse(body, status, error.headers if isinstance(error, HTTPException) else None)
