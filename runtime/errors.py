"""One family of errors: everything raised on purpose derives from `UhdError`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.engines.errors import (
    EngineBuildError,
    EngineError,
    EngineRefusedError,
    EngineUnavailableError,
    MissingExtraError,
    UhdError,
)
from uhd_edge.runtime.deprecation import warn_renamed

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer


class ImageError(UhdError):
    """An image that is missing, empty, truncated, unreadable or over a stated limit."""


class VideoError(ImageError):
    """A video that is missing, empty, damaged, too large or without pictures."""


class BundleError(UhdError):
    """A bundle that is missing, half written, changed, or of another format version."""


class PromptError(UhdError):
    """A question or conversation that cannot be turned into a prompt."""


class OptionError(UhdError):
    """A setting of a request with a value that makes no sense, such as a negative temperature."""


class ContextError(PromptError):
    """A prompt that does not fit into the model's context."""


class SchemaError(UhdError):
    """A schema that no answer can be written by, or an answer that does not fit it.

    `answer` is that answer, with its text and without a parsed value; None where none was
    generated because the schema itself is at fault.
    """

    def __init__(self, message: str, answer: Answer | None = None) -> None:
        super().__init__(message)
        self.answer = answer


class ModelError(UhdError):
    """A language model that cannot be loaded, does not fit the bundle, or failed."""


class BusyError(UhdError):
    """More questions at once than an assistant queues; ask again later."""


class CheckpointError(UhdError):
    """A checkpoint that is missing, incomplete, or of an unsupported architecture."""


class ExportError(UhdError):
    """An export that could not be finished; nothing is left behind."""


class CalibrationError(UhdError):
    """A calibration without pictures, or of a bundle that cannot be calibrated; the bundle stays as it was."""


class OutputError(UhdError):
    """A folder that cannot be written to: read-only, full, or already in use."""


if TYPE_CHECKING:
    Busy = BusyError
else:

    def __getattr__(name: str) -> object:
        if name == "Busy":
            warn_renamed("Busy", "BusyError")
            return BusyError
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BundleError",
    "BusyError",
    "CalibrationError",
    "CheckpointError",
    "ContextError",
    "EngineBuildError",
    "EngineError",
    "EngineRefusedError",
    "EngineUnavailableError",
    "ExportError",
    "ImageError",
    "MissingExtraError",
    "ModelError",
    "OptionError",
    "OutputError",
    "PromptError",
    "SchemaError",
    "UhdError",
    "VideoError",
]
