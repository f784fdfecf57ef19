"""The addresses of the page: its files, and the plan of a picture or a video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from uhd_edge.server.errors import ApiError
from uhd_edge.server.page.planning import PARAMETERS, plan_media
from uhd_edge.server.sending import IGNORED, readable_names

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.server.model_facts import ModelFacts
    from uhd_edge.server.options import ServerOptions

# Every file of the page by its address. They hold no secrets, so they need no token.
_SCRIPTS = ("page.js", "asking.js", "camera.js", "copying.js", "figures.js", "grid.js", "log.js")
FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    **{f"/{name}": (name, "text/javascript; charset=utf-8") for name in _SCRIPTS},
}
PLAN: Final = "/plan"

# The page gets scripts, styles and answers from this server only, and pictures from the reader.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data: blob:; "
        "media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_routes(manifest: Manifest, model: ModelFacts, options: ServerOptions) -> list[Route]:
    """Return the routes of the page of a bundle's server."""

    async def file(request: Request) -> Response:
        name, kind = FILES[request.url.path]
        return Response(Path(__file__).with_name(name).read_bytes(), media_type=kind, headers=_HEADERS)

    async def plan(request: Request) -> Response:
        given = request.query_params
        ignored = readable_names([name for name in given if name not in PARAMETERS])
        headers = {IGNORED: ", ".join(ignored)} if ignored else None
        try:
            planned = plan_media(manifest, model, _said_once(given), max_pixels=options.max_pixels)
            return JSONResponse(planned, headers=headers)
        except ApiError as error:
            return JSONResponse(error.body, error.status, headers)

    return [*(Route(path, file) for path in FILES), Route(PLAN, plan)]


def _said_once(given: QueryParams) -> dict[str, str]:
    """Return the parameters of an address; raises `ApiError` 400 for one that stands there twice."""
    if twice := next((name for name in given if len(given.getlist(name)) > 1), None):
        raise ApiError(400, f"{twice} is given more than once; give it once", param=twice)
    return dict(given)
