"""The server as an ASGI application: its paths and what they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from uhd_edge.server.answering import Answering
from uhd_edge.server.document.whole import api_document
from uhd_edge.server.errors import ApiError
from uhd_edge.server.guard import admit
from uhd_edge.server.metrics import Metrics
from uhd_edge.server.model_facts import model_facts
from uhd_edge.server.ollama.dialects import Ollama
from uhd_edge.server.ollama.listing import listing_routes
from uhd_edge.server.openai.chat import ChatCompletions
from uhd_edge.server.page.routes import page_routes
from uhd_edge.server.paths import OLLAMA, document_route, sign_of_life, small_paths
from uhd_edge.server.responses.dialect import Responses
from uhd_edge.server.sending import IGNORED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Receive, Scope, Send

    from uhd_edge.runtime.async_assistant import AsyncAssistant
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.server.dialect import Dialect
    from uhd_edge.server.options import ServerOptions

CHAT = "/v1/chat/completions"


def application(
    assistant: AsyncAssistant, bundle: Bundle, defaults: tuple[Mode, int], options: ServerOptions
) -> ASGIApp:
    """Return an application that answers with an open `assistant` of this bundle.

    `defaults` are the assistant's mode and most slices.
    """
    model = model_facts(bundle.manifest, assistant.context, defaults)
    metrics = Metrics(lambda: assistant.waiting, lambda: assistant.pieces)
    dialects: dict[str, Dialect] = {
        CHAT: ChatCompletions(model, options.strict),
        "/v1/responses": Responses(model, options.strict),
        "/api/chat": Ollama(model, "chat", options.strict),
        "/api/generate": Ollama(model, "generate", options.strict),
    }
    answering = Answering(assistant, options, metrics)
    page = page_routes(bundle.manifest, model, options) if options.page else [Route("/", sign_of_life)]
    document = api_document(model, strict=options.strict, page=options.page)
    own = _Application(
        small_paths(model, metrics, dialects, [document_route(document), *listing_routes(bundle, model), *page]),
        dialects,
        answering,
        options,
        metrics,
    )
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
            body = {"error": str(error)} if path.startswith(OLLAMA) else error.body
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
