"""One NVIDIA GPU through pycuda: a context that is shared, a stream, and buffers that are kept.

Imported only when a CUDA engine is opened: pycuda is compiled against the whole CUDA toolkit,
which few machines have.
"""

from __future__ import annotations

import importlib
import math
from contextlib import contextmanager
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
    """The first GPU, its primary context and one stream.

    The primary context is the one that llama.cpp and ONNX Runtime use too, so that one
    process holds one context. Raises `MissingExtraError` without pycuda, and
    `EngineUnavailableError` without a driver or a GPU.
    """

    def __init__(self, install: str) -> None:
        self._driver = _import_driver(install)
        try:
            self._driver.init()
            self._context = self._driver.Device(0).retain_primary_context()
        except self._driver.Error as error:
            raise EngineUnavailableError(
                f"no GPU can be used ({_one_line(error)}); check it with nvidia-smi"
            ) from error
        with self.active("the GPU"):
            # Not the default stream: TensorRT would synchronize around every run there. Nor one that
            # waits for it: whoever copied through the default stream during a capture (llama.cpp
            # ends the process when it cannot) would be refused.
            self.stream = self._driver.Stream(_NON_BLOCKING)

    @contextmanager
    def active(self, what: str) -> Iterator[None]:
        """Make the context this thread's own for a while; CUDA's errors become ours and say `what` failed.

        Raises `EngineError`.
        """
        try:
            self._context.push()
            try:
                yield
            finally:
                self._driver.Context.pop()
        except self._driver.Error as error:
            raise EngineError(f"{what}: {_one_line(error)}; free some memory of the GPU, or use the CPU") from error

    def buffer(self, size: int) -> Buffer:
        """Allocate `size` bytes twice: pinned on the host, and on the device."""
        return Buffer(self._driver, size)

    def allocate(self, size: int) -> Any:
        """Allocate `size` bytes on the device alone; they are freed with `.free()`."""
        return self._driver.mem_alloc(size)


class Buffer:
    """The memory of one tensor, large enough for its largest shape and kept until `free`.

    The host's side is pinned: only from there copies run beside the computation. The
    device's address never changes, so that a captured CUDA graph stays valid.
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
        """Where the tensor lies on the device."""
        return int(self._device)

    def upload(self, array: Array, stream: Any) -> None:
        """Start copying `array` to the device."""
        pinned = self._view(array.shape, array.dtype)
        np.copyto(pinned, array)
        if array.size:
            self._driver.memcpy_htod_async(self._device, pinned, stream)

    def download(self, shape: tuple[int, ...], dtype: DTypeLike, stream: Any) -> Array:
        """Start copying from the device; what is returned is valid once the stream has been waited for.

        It is a view of this buffer, which the next run overwrites.
        """
        pinned = self._view(shape, dtype)
        if pinned.size:
            self._driver.memcpy_dtoh_async(pinned, self._device, stream)
        return pinned

    def free(self) -> None:
        """Give both sides back; no copy may be under way."""
        self._device.free()
        self._host.base.free()

    def _view(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        view: Array = self._host[:size].view(dtype).reshape(shape)
        return view


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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
