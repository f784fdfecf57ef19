"""The on-device path: image -> slices -> patches -> embeddings -> prompt -> text.

In: images and a question. Out: an `Answer`. Read `assistant.py` first, then `answering.py`.

What most programs need is here by name and is loaded when first used, so importing one module,
such as `uhd_edge.runtime.errors`, does not load the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer, Plan, Thought, TokenLogprob, ToolCall, Usage
    from uhd_edge.runtime.assistant import Assistant
    from uhd_edge.runtime.async_assistant import AsyncAssistant
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.errors import UhdError
    from uhd_edge.runtime.images.camera import camera_frames
    from uhd_edge.runtime.images.limited_image import LimitedImage
    from uhd_edge.runtime.images.video import Video, video_frames
    from uhd_edge.runtime.options import AskOptions
    from uhd_edge.runtime.prompt.messages import ImagePart, Message, TextPart, ToolResult
    from uhd_edge.runtime.session import Session
    from uhd_edge.runtime.vision.encoder import Encoded, VisionEncoder

__all__ = [
    "Answer",
    "AskOptions",
    "Assistant",
    "AsyncAssistant",
    "Bundle",
    "Encoded",
    "ImagePart",
    "LimitedImage",
    "Message",
    "Plan",
    "Session",
    "TextPart",
    "Thought",
    "TokenLogprob",
    "ToolCall",
    "ToolResult",
    "UhdError",
    "Usage",
    "Video",
    "VisionEncoder",
    "camera_frames",
    "video_frames",
]

_MODULES = {
    "Answer": "answer",
    "AskOptions": "options",
    "Assistant": "assistant",
    "AsyncAssistant": "async_assistant",
    "Bundle": "bundles.bundle",
    "Encoded": "vision.encoder",
    "ImagePart": "prompt.messages",
    "LimitedImage": "images.limited_image",
    "Message": "prompt.messages",
    "Plan": "answer",
    "Session": "session",
    "TextPart": "prompt.messages",
    "Thought": "answer",
    "TokenLogprob": "answer",
    "ToolCall": "answer",
    "ToolResult": "prompt.messages",
    "UhdError": "errors",
    "Usage": "answer",
    "Video": "images.video",
    "VisionEncoder": "vision.encoder",
    "camera_frames": "images.camera",
    "video_frames": "images.video",
}


if not TYPE_CHECKING:  # so that a checker finds a name that does not exist

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
