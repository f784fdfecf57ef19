"""The errors: everything that is raised on purpose derives from `UhdError`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.engines.errors import (
    EngineBuildError,
    EngineError,
    EngineRefusedError,
    EngineResultError,
    EngineUnavailableError,
    MissingExtraError,
    UhdError,
)
from uhd_edge.runtime.release import warn_renamed

if TYPE_CHECKING:
    from uhd_edge.runtime.answer import Answer


class ImageError(UhdError):
    """An image that is missing, empty, truncated, unreadable or over a limit.

    `over_limit` says that it, or a frame of a video, has more pixels than it may have.
    """

    def __init__(self, message: str, *, over_limit: bool = False) -> None:
        super().__init__(message)
        self.over_limit = over_limit


class VideoError(ImageError):
    """A video that is missing, empty, damaged, too large or without frames."""


class BundleError(UhdError):
    """A bundle that is missing, incomplete, changed, or of another format version."""


class PromptError(UhdError):
    """A question or conversation that cannot be turned into a prompt."""


class OptionError(UhdError):
    """A setting with an invalid value, such as a negative temperature.

    `parameter` is the setting's name, with which the message begins; None where it is about no single one.
    """

    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class ContextError(PromptError):
    """A prompt that does not fit into the model's context."""


class SchemaError(UhdError):
    """A schema that no answer can fit, or an answer that does not fit its schema.

    `answer` is that answer, without a parsed value; None if the schema itself is invalid.
    """

    def __init__(self, message: str, answer: Answer | None = None) -> None:
        super().__init__(message)
        self.answer = answer


class AnswerError(UhdError):
    """An answer that was not read to its end: it is not complete yet, or another question has ended it."""


class ModelError(UhdError):
    """A language model that cannot be loaded, does not fit the bundle, or failed."""


class BusyError(UhdError):
    """The assistant's queue is full; ask again later."""


class CheckpointError(UhdError):
    """A checkpoint that is missing, incomplete, or of an unsupported architecture."""


class DownloadError(UhdError):
    """A download that failed; what has arrived whole or in part is kept, and the next attempt goes on from there."""


class ExportError(UhdError):
    """An export that failed; it leaves no files behind."""


class CalibrationError(UhdError):
    """A calibration without images, or of a bundle that cannot be calibrated; the bundle is unchanged."""


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
    "AnswerError",
    "BundleError",
    "BusyError",
    "CalibrationError",
    "CheckpointError",
    "ContextError",
    "DownloadError",
    "EngineBuildError",
    "EngineError",
    "EngineRefusedError",
    "EngineResultError",
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
