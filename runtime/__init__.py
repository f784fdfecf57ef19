"""The on-device path: image -> slices -> patches -> embeddings -> prompt -> text.

What most programs need is here by name and loaded when first used, so that importing a
part of it, such as `uhd_edge.runtime.errors`, costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.async_assistant import AsyncAssistant
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.images.video import Video, video_frames
    from uhd_edge.runtime.session import Session
    from uhd_edge.runtime.vision.encoder import Encoded, VisionEncoder

__all__ = [
    "Answer",
    "Assistant",
    "AsyncAssistant",
    "Bundle",
    "Encoded",
    "Session",
    "Video",
    "VisionEncoder",
    "video_frames",
]

_MODULES = {
    "Answer": "answer",
    "Assistant": "assistant",
    "AsyncAssistant": "async_assistant",
    "Bundle": "bundles.bundle",
    "Encoded": "vision.encoder",
    "Session": "session",
    "Video": "images.video",
    "VisionEncoder": "vision.encoder",
    "video_frames": "images.video",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
