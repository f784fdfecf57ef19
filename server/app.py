"""The server as an ASGI application: its paths and what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from uhd_edge.server.answering import Answering
from uhd_edge.server.errors import ApiError
from uhd_edge.server.guard import admit
from uhd_edge.server.metrics import Metrics
from uhd_edge.server.openai.chat import ChatCompletions
from uhd_edge.server.sending import IGNORED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from uhd_edge.runtime.async_assistant import AsyncAssistant
    from uhd_edge.server.dialect import Dialect
    from uhd_edge.server.model_facts import ModelFacts
    from uhd_edge.server.options import ServerOptions

CHAT = "/v1/chat/completions"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def application(assistant: AsyncAssistant, model: ModelFacts, options: ServerOptions) -> ASGIApp:
    """Return an application that answers with an open `assistant`, whose bundle's model is `model`."""
    metrics = Metrics(lambda: assistant.waiting)
    dialects: dict[str, Dialect] = {CHAT: ChatCompletions(model, options.strict)}
    answering = Answering(assistant, options, metrics)
    own = _Application(_paths(model, metrics, dialects), dialects, answering, options, metrics)
    if not options.origins:
        return own
    return CORSMiddleware(
        own,
        allow_origins=options.origins,
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=[IGNORED],
    )


class _Application:
    """Admits requests, counts them, and passes them to a dialect or to one of the small paths."""

    def __init__(
        self,
        paths: Starlette,
        dialects: Mapping[str, Dialect],
        answering: Answering,
        options: ServerOptions,
        metrics: Metrics,
    ) -> None:
        self._paths = paths
        self._dialects = dialects
        self._answering = answering
        self._options = options
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if not self._options.strict and len(scope["path"]) > 1:
            scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
        path = scope["path"]
        known = path if path in (*self._dialects, "/health", "/metrics", "/v1/models") else "other"
        dialect = self._dialects.get(path)
        try:
            admit(Headers(scope=scope), path, self._options)
        except ApiError as error:
            self._metrics.requested(known, error.status)
            body = error.body if dialect is None else dialect.error_body(error)
            await JSONResponse(body, error.status, error.headers)(scope, receive, send)
            return
        if dialect is not None and scope["method"] == "POST":
            self._metrics.requested(known, await self._answering(dialect, scope, receive, send))
            return

        async def counted(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requested(known, int(str(message["status"])))
            await send(message)

        await self._paths(scope, receive, counted)  # type: ignore[arg-type]  # messages are dicts


def _paths(model: ModelFacts, metrics: Metrics, dialects: Mapping[str, Dialect]) -> Starlette:
    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [model.to_dict()]})

    async def one_model(request: Request) -> Response:
        if request.path_params["name"] == model.name:
            return JSONResponse(model.to_dict())
        return await _refusal(request, HTTPException(404))

    async def numbers(_: Request) -> Response:
        return Response(metrics.text(), media_type=METRICS_TYPE)

    async def only_post(request: Request) -> Response:
        return await _refusal(request, HTTPException(405, headers={"Allow": "POST"}))

    routes = [
        Route("/health", health),
        Route("/v1/models", models),
        Route("/v1/models/{name}", one_model),
        Route("/metrics", numbers),
        *(Route(path, only_post) for path in dialects),
    ]
    paths = Starlette(routes=routes, exception_handlers={HTTPException: _refusal})
    paths.router.redirect_slashes = False  # clients do not follow redirects of a POST, or drop its body
    return paths


async def _refusal(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    reason = {404: "there is nothing at", 405: "another method is needed for"}.get(status, "an error at")
    refused = ApiError(status, f"{reason} {request.url.path}")
    return JSONResponse(refused.body, status, error.headers if isinstance(error, HTTPException) else None)
