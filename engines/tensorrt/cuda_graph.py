"""A CUDA graph: work captured from a stream once, then launched as a whole.

pycuda does not support CUDA graphs, so this calls the driver's stable C API.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from uhd_edge.engines.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

# Other threads, such as llama.cpp's, may allocate during a capture: it only restricts this thread's calls.
_THREAD_LOCAL = 1

_ARGUMENTS: dict[str, list[type]] = {
    "cuStreamBeginCapture_v2": [ctypes.c_void_p, ctypes.c_int],
    "cuStreamEndCapture": [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)],
    "cuGraphInstantiateWithFlags": [ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p, ctypes.c_ulonglong],
    "cuGraphLaunch": [ctypes.c_void_p, ctypes.c_void_p],
    "cuGraphExecDestroy": [ctypes.c_void_p],
    "cuGraphDestroy": [ctypes.c_void_p],
}


class CudaGraph:
    """The captured work that `enqueue` puts on a stream.

    `stream` is the handle of a stream other than the default one. The CUDA context must be
    current, here and in the other methods. `enqueue` returns whether it succeeded; its work
    is captured, not run. Raises `EngineError` if the work cannot be captured.
    """

    def __init__(self, stream: int, enqueue: Callable[[], bool]) -> None:
        self._driver = _load_driver()
        graph = ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)
        try:
            enqueued = enqueue()
        finally:  # a stream left in capture mode could never be used again
            ended = self._code("cuStreamEndCapture", stream, ctypes.byref(graph))
        if ended or not enqueued or not graph:
            raise EngineError(f"this engine cannot be captured as a CUDA graph (CUDA error {ended})")
        self._executable = ctypes.c_void_p()
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self, stream: int) -> None:
        """Put the captured work on the stream; raises `EngineError`."""
        self._call("cuGraphLaunch", self._executable, stream)

    def free(self) -> None:
        """Release the graph; it must not be running."""
        self._call("cuGraphExecDestroy", self._executable)

    def _call(self, name: str, *arguments: object) -> None:
        if code := self._code(name, *arguments):
            raise EngineError(f"{name} failed with CUDA error {code}")

    def _code(self, name: str, *arguments: object) -> int:
        function = getattr(self._driver, name)
        function.argtypes, function.restype = _ARGUMENTS[name], ctypes.c_int
        return int(function(*arguments))


def _load_driver() -> ctypes.CDLL:
    name = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError as error:
        raise EngineError(f"{name} cannot be loaded ({error}); install the NVIDIA driver") from error
    if missing := [function for function in _ARGUMENTS if not hasattr(driver, function)]:
        raise EngineError(f"{name} lacks {missing[0]}; CUDA graphs need a driver of CUDA 11.4 or later")
    return driver
