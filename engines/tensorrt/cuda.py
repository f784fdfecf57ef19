"""One NVIDIA GPU through pycuda: a shared context, a stream, and reusable buffers.

Imported only when a CUDA engine is opened: pycuda is compiled against the full CUDA toolkit,
which few machines have.
"""

from __future__ import annotations

import importlib
import math
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.engines.errors import EngineError, EngineUnavailableError, MissingExtraError
from uhd_edge.engines.interrupts import raise_interrupt_behind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import DTypeLike

    from uhd_edge.engines.engine import Array

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING in cuda.h


class CudaDevice:
    """The first GPU, its primary context and one stream; close it in any thread.

    llama.cpp and ONNX Runtime use the primary context too, so the process has only one
    context. Raises `MissingExtraError` without pycuda, and `EngineUnavailableError` without
    a driver or a GPU.
    """

    def __init__(self, install: str) -> None:
        self._driver = _import_driver(install)
        try:
            self._context = _primary_context(self._driver)
        except self._driver.Error as error:
            raise EngineUnavailableError(
                f"no GPU can be used ({_one_line(error)}); check it with nvidia-smi"
            ) from error
        with self.active("the GPU"):
            # Not the default stream: there TensorRT would synchronize around every run. Nor a stream
            # that synchronizes with it: copies through the default stream would then fail during a
            # capture, and llama.cpp ends the process when a copy fails.
            self.stream: Any = self._driver.Stream(_NON_BLOCKING)

    def close(self) -> None:
        """Destroy the stream, which nothing else may hold; the context must be current.

        pycuda destroys a stream with its last reference, but only where its context is current or where the
        thread that retained the context drops it. Elsewhere the stream would be lost.
        """
        self.stream = None

    @contextmanager
    def active(self, what: str) -> Iterator[None]:
        """Make the context current in this thread; CUDA errors become `EngineError`s that say `what` failed."""
        try:
            self._context.push()
            try:
                yield
            finally:
                self._driver.Context.pop()
        except self._driver.Error as error:
            raise EngineError(f"{what}: {_one_line(error)}; free some GPU memory, or use the CPU") from error

    def buffer(self, size: int) -> Buffer:
        """Allocate `size` bytes twice: pinned on the host, and on the device."""
        return Buffer(self._driver, size)

    def allocate(self, size: int) -> Any:
        """Allocate `size` bytes on the device only; release them with `.free()`."""
        return self._driver.mem_alloc(size)


class Buffer:
    """The memory of one tensor, large enough for its largest shape and kept until `free`.

    The host memory is pinned, because only pinned memory can be copied asynchronously. The
    device address never changes, so that a captured CUDA graph stays valid.
    """

    def __init__(self, driver: Any, size: int) -> None:
        self._driver = driver
        self._host = driver.pagelocked_empty(max(1, size), np.uint8)
        try:
            self._device = driver.mem_alloc(max(1, size))
        except BaseException:
            self._host.base.free()
            raise

    @property
    def address(self) -> int:
        """The address of the tensor on the device."""
        return int(self._device)

    def upload(self, array: Array, stream: Any) -> None:
        """Start copying `array` to the device."""
        pinned = self._view(array.shape, array.dtype)
        np.copyto(pinned, array)
        if array.size:
            self._driver.memcpy_htod_async(self._device, pinned, stream)

    def download(self, shape: tuple[int, ...], dtype: DTypeLike, stream: Any) -> Array:
        """Start copying from the device; the result is valid once the stream is synchronized.

        It is a view of this buffer, which the next run overwrites.
        """
        pinned = self._view(shape, dtype)
        if pinned.size:
            self._driver.memcpy_dtoh_async(pinned, self._device, stream)
        return pinned

    def free(self) -> None:
        """Free the memory on host and device; no copy may be in progress."""
        self._device.free()
        self._host.base.free()

    def _view(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        view: Array = self._host[:size].view(dtype).reshape(shape)
        return view


@cache
def _primary_context(driver: Any) -> Any:
    """Retain the primary context of the first GPU, once for the process.

    pycuda releases a context only in the thread that retained it, and engines are closed in others. CUDA's
    runtime, which llama.cpp and ONNX Runtime use, keeps the primary context until the process ends, too.
    """
    driver.init()
    return driver.Device(0).retain_primary_context()


def _import_driver(install: str) -> Any:
    try:
        return importlib.import_module("pycuda.driver")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pycuda":
            raise EngineUnavailableError(f"pycuda cannot be imported ({_one_line(error)}); install it again") from error
        raise MissingExtraError(
            f"TensorRT engines need pycuda, which is not installed; {install} (it needs the CUDA toolkit)"
        ) from error
    except ImportError as error:  # libcuda.so.1 comes with the driver
        raise_interrupt_behind(error)
        raise EngineUnavailableError(
            f"pycuda finds no NVIDIA driver ({_one_line(error)}); install the driver, or use the CPU"
        ) from error


def check_pycuda(install: str) -> None:
    """Raise `MissingExtraError` without pycuda, and `EngineUnavailableError` if it cannot be imported."""
    _import_driver(install)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
