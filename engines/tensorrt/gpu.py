"""Name and compute capability of the first GPU, read from the driver library; needs no package."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from uhd_edge.engines.errors import EngineUnavailableError

_LIBRARY = "libcuda.so.1"
# CUdevice_attribute in cuda.h.
_MAJOR, _MINOR = 75, 76
_NAME_BYTES = 256


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name and its compute capability, such as "8.7"."""

    name: str
    compute_capability: str


def first_gpu() -> Gpu:
    """Ask the driver for its first GPU; raises `EngineUnavailableError` without a driver or a GPU."""
    try:
        driver = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise EngineUnavailableError(
            f"no NVIDIA driver found ({error}); build on the device, or ahead of time with --target rtx-40"
        ) from error
    _call(driver, "cuInit", 0)
    device = ctypes.c_int()
    _call(driver, "cuDeviceGet", ctypes.byref(device), 0)
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _call(driver, "cuDeviceGetName", name, _NAME_BYTES, device)
    capability = []
    for attribute in (_MAJOR, _MINOR):
        number = ctypes.c_int()
        _call(driver, "cuDeviceGetAttribute", ctypes.byref(number), attribute, device)
        capability.append(str(number.value))
    return Gpu(name.value.decode(errors="replace"), ".".join(capability))


def _call(driver: Any, function: str, *arguments: Any) -> None:
    code = getattr(driver, function)(*arguments)
    if code != 0:
        raise EngineUnavailableError(f"no GPU can be used ({function} returned {code}); check it with nvidia-smi")
