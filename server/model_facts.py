"""What the model of a server can do, as far as a request's meaning depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.prompt.thinking import SWITCH, knows_thoughts
from uhd_edge.runtime.tools.call_format import find_call_format
from uhd_edge.server.errors import ApiError

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.modes import Mode


@dataclass(frozen=True)
class ModelFacts:
    """The name of a model, its modes and context, and whether it calls functions.

    `mode` and `max_slices` are what a question gets that does not say. `thinks` says that it thinks before it answers
    if it is asked to, `always_thinks` that it may think and cannot be told whether to.
    """

    name: str
    modes: tuple[Mode, ...]
    mode: Mode
    max_slices: int
    context: int
    thinks: bool
    calls: bool
    always_thinks: bool = False

    @property
    def capabilities(self) -> dict[str, bool]:
        """What it can do, by name; videos need PyAV."""
        videos = find_spec("av") is not None
        return {"vision": True, "video": videos, "tools": self.calls, "thinking": self.thinks, "json_schema": True}

    def require_name(self, name: str) -> None:
        """Raise `ApiError` 404 for the name of another model."""
        if name not in (self.name, f"{self.name}:latest"):
            message = f"model {name[:100]!r} not found; this server has {self.name!r}"
            raise ApiError(404, message, param="model", code="model_not_found")

    def to_dict(self) -> dict[str, Any]:
        """Return the model as OpenAI's API lists it, with what it can do besides."""
        own: dict[str, Any] = {"capabilities": self.capabilities, "modes": list(self.modes), "mode": self.mode}
        known = {"id": self.name, "object": "model", "created": 0, "owned_by": "uhd-edge"}
        return {
            **known,
            **own,
            "max_slices": self.max_slices,
            "context_length": self.context,
            "max_model_len": self.context,
        }


def model_facts(manifest: Manifest, context: int, defaults: tuple[Mode, int]) -> ModelFacts:
    """Read from a bundle's manifest what its model can do; `defaults` are the server's mode and most slices."""
    prompt = manifest.prompt
    try:
        find_call_format(prompt.chat_template)
        calls = True
    except OptionError:
        calls = False
    may_think, can_be_told = knows_thoughts(prompt), SWITCH in prompt.chat_template
    thinks, always_thinks = may_think and can_be_told, may_think and not can_be_told
    return ModelFacts(manifest.name, tuple(manifest.graphs), *defaults, context, thinks, calls, always_thinks)
