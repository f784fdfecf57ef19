"""The model as Ollama's clients list it: `/api/tags`, `/api/ps`, `/api/show` and `/api/version`."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from uhd_edge.runtime.bundles.bundle import MANIFEST
from uhd_edge.runtime.release import installed_version
from uhd_edge.server.errors import ApiError
from uhd_edge.server.ollama.requests import require_model
from uhd_edge.server.openai.body import read_object
from uhd_edge.server.waiting import read_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.server.model_facts import ModelFacts

# The body of `/api/show` has a name in it.
MOST_BYTES: Final = 64 * 1024


def listing_routes(bundle: Bundle, model: ModelFacts) -> list[Route]:
    """Return the routes that say what the model of a bundle is."""
    listed = list_model(bundle)
    shown = show_model(bundle, model)

    def answers(content: Any) -> Any:
        async def answer(_: Request) -> Response:
            return JSONResponse(content)

        return answer

    async def show(request: Request) -> Response:
        try:
            declared = request.headers.get("content-length")
            body = await read_body(request.receive, most=MOST_BYTES, declared=declared)
            require_model(read_object(body), model)
        except ApiError as error:
            return JSONResponse({"error": str(error)}, error.status)
        return JSONResponse(shown)

    return [
        Route("/api/tags", answers({"models": [listed]})),
        Route("/api/ps", answers({"models": [{**listed, "context_length": model.context}]})),
        Route("/api/version", answers({"version": installed_version()})),
        Route("/api/show", show, methods=["POST"]),
    ]


def list_model(bundle: Bundle) -> dict[str, Any]:
    """Return the model's name, its size and age on disk, and a digest of all its files."""
    manifest = bundle.manifest
    name = {"name": manifest.name, "model": manifest.name, "modified_at": _modified(bundle)}
    size = sum(record.bytes for record in manifest.files.values())
    return {**name, "size": size, "digest": digest(manifest), "details": _details(manifest)}


def show_model(bundle: Bundle, model: ModelFacts) -> dict[str, Any]:
    """Return what the model is made of, and what it can do."""
    family = bundle.manifest.llm.architecture
    able = [("completion", True), ("vision", True), ("tools", model.calls), ("thinking", model.thinks)]
    return {
        "template": bundle.manifest.prompt.chat_template,
        "modified_at": _modified(bundle),
        "details": _details(bundle.manifest),
        "model_info": {"general.architecture": family, f"{family}.context_length": model.context},
        "capabilities": [name for name, is_able in able if is_able],
    }


def digest(manifest: Manifest) -> str:
    """Return the SHA-256 of the list of a bundle's files, each with its own SHA-256, as `sha256sum` writes it."""
    lines = (f"{record.sha256}  {name}\n" for name, record in sorted(manifest.files.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _modified(bundle: Bundle) -> str:
    """Return when the bundle was written, as RFC 3339 has it."""
    written = (bundle.path / MANIFEST).stat().st_mtime
    return datetime.fromtimestamp(written, timezone.utc).isoformat().replace("+00:00", "Z")


def _details(manifest: Manifest) -> dict[str, Any]:
    """Return the kind of the language model; how many parameters it has is not recorded."""
    family = manifest.llm.architecture
    known = {"format": "gguf", "family": family, "families": [family], "quantization_level": manifest.llm.type.upper()}
    return {"parent_model": "", **known, "parameter_size": ""}
