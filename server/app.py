"""The server as an ASGI application: its paths and what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from uhd_edge.server.chat import Chat
from uhd_edge.server.errors import ApiError
from uhd_edge.server.guard import admit
from uhd_edge.server.metrics import Metrics

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from uhd_edge.runtime.async_assistant import AsyncAssistant
    from uhd_edge.server.options import ServerOptions

CHAT = "/v1/chat/completions"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def application(assistant: AsyncAssistant, model: str, options: ServerOptions) -> ASGIApp:
    """Return an application that answers with an open `assistant`, whose bundle is named `model`."""
    metrics = Metrics(lambda: assistant.waiting)
    chat = Chat(assistant, model, options, metrics)
    return _Application(_paths(model, metrics), chat, options, metrics)


class _Application:
    """Admits requests, counts them, and passes them to the chat or to one of the small paths."""

    def __init__(self, paths: Starlette, chat: Chat, options: ServerOptions, metrics: Metrics) -> None:
        self._paths = paths
        self._chat = chat
        self._options = options
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        known = path if path in (CHAT, "/health", "/metrics", "/v1/models") else "other"
        try:
            admit(Headers(scope=scope), path, self._options)
        except ApiError as error:
            self._metrics.requested(known, error.status)
            await JSONResponse(error.body, error.status, error.headers)(scope, receive, send)
            return
        if path == CHAT and scope["method"] == "POST":
            self._metrics.requested(known, await self._chat(scope, receive, send))
            return

        async def counted(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requested(known, int(str(message["status"])))
            await send(message)

        await self._paths(scope, receive, counted)  # type: ignore[arg-type]  # messages are dicts


def _paths(model: str, metrics: Metrics) -> Starlette:
    described = {"id": model, "object": "model", "created": 0, "owned_by": "uhd-edge"}

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [described]})

    async def one_model(request: Request) -> Response:
        if request.path_params["name"] == model:
            return JSONResponse(described)
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
        Route(CHAT, only_post),
    ]
    paths = Starlette(routes=routes, exception_handlers={HTTPException: _refusal})
    paths.router.redirect_slashes = False  # clients do not follow redirects of a POST, or drop its body
    return paths


async def _refusal(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    reason = {404: "there is nothing at", 405: "another method is needed for"}.get(status, "an error at")
    refused = ApiError(status, f"{reason} {request.url.path}")
    return JSONResponse(refused.body, status, error.headers if isinstance(error, HTTPException) else None)
