"""The addresses of the page: its files, and the plan of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from uhd_edge.runtime.errors import UhdError
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.prompt.room import image_layout
from uhd_edge.runtime.vision.slicing import plan_views
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from starlette.requests import Request

    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.server.model_facts import ModelFacts

# Every file of the page by its address. They hold no secrets, so they need no token.
FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/asking.js": ("asking.js", "text/javascript; charset=utf-8"),
    "/pictures.js": ("pictures.js", "text/javascript; charset=utf-8"),
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

_LARGEST_SIDE = 100_000
_MOST_SLICES = 10_000


def page_routes(manifest: Manifest, model: ModelFacts) -> list[Route]:
    """Return the routes of the page of a bundle's server."""

    async def file(request: Request) -> Response:
        name, kind = FILES[request.url.path]
        return Response(Path(__file__).with_name(name).read_bytes(), media_type=kind, headers=_HEADERS)

    async def plan(request: Request) -> Response:
        try:
            return JSONResponse(plan_picture(manifest, model, dict(request.query_params)))
        except UhdError as error:
            refused = ApiError(400, str(error))
            return JSONResponse(refused.body, refused.status)

    return [*(Route(path, file) for path in FILES), Route(PLAN, plan)]


def plan_picture(manifest: Manifest, model: ModelFacts, given: dict[str, str]) -> dict[str, Any]:
    """Return how a picture of `width` x `height` pixels is cut: its grid, and the tokens of every view.

    `mode` and `max_slices` may be given too; otherwise they are those that the server was started with. The thumbnail
    is the first view, the slices follow row by row. Raises `ApiError` for what is no number, and `ImageError` for a
    picture that is too thin.
    """
    width, height = (_whole(name, given.get(name, ""), _LARGEST_SIDE) for name in ("width", "height"))
    slices = given.get("max_slices")
    most = model.max_slices if not slices else _whole("max_slices", slices, _MOST_SLICES)
    mode = given.get("mode") or model.mode
    if mode not in get_args(Mode) or mode not in manifest.graphs:
        raise ApiError(400, f"the mode must be one of {', '.join(manifest.graphs)}")
    plan = plan_views(width, height, manifest.preprocessing, mode=mode, max_slices=most)
    tokens = image_layout(plan, manifest.vision).tokens
    views = [{"rows": rows, "columns": columns} for rows, columns in plan.views]
    return {
        "mode": mode,
        "grid": {"rows": plan.grid[0], "columns": plan.grid[1]},
        "views": [{**view, "tokens": count} for view, count in zip(views, tokens, strict=True)],
        "tokens": sum(tokens),
    }


def _whole(name: str, text: str, highest: int) -> int:
    """Read a number of an address, which may be any text; Python itself refuses one of thousands of digits."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(highest))
    number = int(text) if is_number else 0
    if not 0 < number <= highest:
        raise ApiError(400, f"{name} must be a number from 1 to {highest}")
    return number
