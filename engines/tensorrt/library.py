"""The Python packages of TensorRT and TensorRT-RTX, which have the same API."""

from __future__ import annotations

import importlib
from typing import Any, Literal, TypeAlias

from uhd_edge.engines.errors import EngineUnavailableError, MissingExtraError
from uhd_edge.engines.extras import PYCUDA
from uhd_edge.engines.interrupts import raise_interrupt_behind

Backend: TypeAlias = Literal["tensorrt", "tensorrt-rtx"]

MODULES: dict[Backend, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}

NAMES: dict[Backend, str] = {"tensorrt": "TensorRT", "tensorrt-rtx": "TensorRT-RTX"}

# JetPack has its own TensorRT for its own Python; the wheels on PyPI do not support it.
INSTALL: dict[Backend, str] = {
    "tensorrt": f'pip install "uhd-edge[gpu]" (on a Jetson: apt install python3-libnvinfer, pip install "{PYCUDA}")',
    "tensorrt-rtx": f'pip install "uhd-edge[rtx]" "{PYCUDA}"',
}

# JetPack 6 links its TensorRT with this library, on boards without a DLA too, and has it in a package of its own that
# not every installation has. In an image it is an empty file, over which `--runtime nvidia` mounts the board's.
DLA_LIBRARY = "libnvdla_compiler.so"
DLA_COMPILER = "nvidia-l4t-dla-compiler"
INSTALL_DLA_COMPILER = (
    f"{DLA_LIBRARY} is missing, which TensorRT needs on JetPack 6: apt install {DLA_COMPILER}, then ldconfig; in a "
    "container it is that of the board: install it there, and start the container with --runtime nvidia"
)


def import_tensorrt(backend: Backend) -> Any:
    """Import the package of `backend`.

    Raises `MissingExtraError` with the install command, or `EngineUnavailableError` if it is
    installed but cannot be imported, for example because its libraries are missing.
    """
    module = MODULES[backend]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{NAMES[backend]} is not installed; {INSTALL[backend]}") from error
    except Exception as error:  # missing libraries raise various exceptions
        raise_interrupt_behind(error)
        reason = " ".join(str(error).split())
        advice = INSTALL_DLA_COMPILER if DLA_LIBRARY in reason else INSTALL[backend]
        raise EngineUnavailableError(
            f"{NAMES[backend]} is installed but cannot be imported ({reason}); {advice}"
        ) from error


def gathering_logger(trt: Any, lines: list[str]) -> Any:
    """Make a logger that appends TensorRT's errors to `lines` instead of printing them."""

    class Gathering(trt.ILogger):  # type: ignore[misc]  # the class is known only once TensorRT is imported
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                lines.append(" ".join(message.split()))

    return Gathering()
