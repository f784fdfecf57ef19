"""Stands in for TensorRT alone: memory, streams, graphs and the computation are those of a real GPU.

As the pretended engine, it computes y [B, N, 3] = 2 * x [B, N, 3] + n [B, N], with a kernel on the stream it is given.
"""

from __future__ import annotations

import ctypes
import math
from functools import cache
from types import SimpleNamespace
from typing import Any

from support.pretended_gpu.engine import LARGE, SMALL
from support.pretended_gpu.tensorrt import Context, Engine, tensorrt_package

BLOCK = 256  # threads

# From CUDA C: i < count ? y[i] = fmaf(2, x[i], (float)n[i / 3]) : void(), for compute_75.
KERNEL = b"""
.version 6.4
.target sm_75
.address_size 64
.visible .entry twice_plus(.param .u64 p_x, .param .u64 p_n, .param .u64 p_y, .param .u32 p_count)
{
    .reg .pred %p<2>;
    .reg .f32 %f<5>;
    .reg .b32 %r<7>;
    .reg .b64 %rd<15>;
    ld.param.u64 %rd1, [p_x];
    ld.param.u64 %rd2, [p_n];
    ld.param.u64 %rd3, [p_y];
    ld.param.u32 %r2, [p_count];
    mov.u32 %r3, %ctaid.x;
    mov.u32 %r4, %ntid.x;
    mov.u32 %r5, %tid.x;
    mad.lo.s32 %r1, %r3, %r4, %r5;
    setp.ge.u32 %p1, %r1, %r2;
    @%p1 bra DONE;
    cvta.to.global.u64 %rd4, %rd1;
    mul.wide.u32 %rd5, %r1, 4;
    add.s64 %rd6, %rd4, %rd5;
    div.u32 %r6, %r1, 3;
    cvta.to.global.u64 %rd9, %rd2;
    mul.wide.u32 %rd10, %r6, 8;
    add.s64 %rd11, %rd9, %rd10;
    ld.global.u64 %rd12, [%rd11];
    cvt.rn.f32.s64 %f1, %rd12;
    ld.global.f32 %f2, [%rd6];
    mov.f32 %f3, 0f40000000;
    fma.rn.f32 %f4, %f3, %f2, %f1;
    cvta.to.global.u64 %rd13, %rd3;
    add.s64 %rd14, %rd13, %rd5;
    st.global.f32 [%rd14], %f4;
DONE:
    ret;
}
\0"""


def computing_package() -> Any:
    """The module that `import tensorrt` gives. Every file whose content is `engine` is an engine."""
    profiles = [LARGE, SMALL]
    package = tensorrt_package(SimpleNamespace(), profiles)  # type: ignore[arg-type]  # its engines are not used
    package.Runtime = lambda _: SimpleNamespace(deserialize_cuda_engine=lambda _: ComputingEngine(profiles))
    return package


class ComputingEngine(Engine):
    def __init__(self, profiles: list[dict[str, list[tuple[int, ...]]]]) -> None:
        super().__init__(SimpleNamespace(contexts=1, open_contexts=[]), profiles)  # type: ignore[arg-type]
        self._function = _load_kernel()

    def create_execution_context(self, how: Any) -> Context:
        return ComputingContext(self, how)

    def launch(self, addresses: dict[str, int], count: int, stream: int) -> int:
        """Put the kernel on the stream; returns the driver's code."""
        values = [*(ctypes.c_uint64(addresses[name]) for name in self.names), ctypes.c_uint32(count)]
        arguments = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        one = ctypes.c_uint(1)
        sizes = (ctypes.c_uint(-(-count // BLOCK)), one, one, ctypes.c_uint(BLOCK), one, one, ctypes.c_uint(0))
        return int(_driver().cuLaunchKernel(self._function, *sizes, ctypes.c_void_p(stream), arguments, None))


class ComputingContext(Context):
    engine: ComputingEngine

    def set_device_memory(self, address: int, _size: int) -> None:
        self.memory = address

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.profile = index
        return stream != 0

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return address != 0

    def execute_async_v3(self, stream: int) -> bool:
        if set(self.addresses) != set(self.engine.names):
            return False
        return self.engine.launch(self.addresses, math.prod(self.shapes["x"]), stream) == 0


@cache
def _load_kernel() -> ctypes.c_void_p:
    """Load the kernel into the current context, which is the primary one and stays."""
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    for name, arguments in (
        ("cuModuleLoadData", (ctypes.byref(module), KERNEL)),
        ("cuModuleGetFunction", (ctypes.byref(function), module, b"twice_plus")),
    ):
        code = getattr(_driver(), name)(*arguments)
        assert code == 0, f"{name} failed with CUDA error {code}"
    return function


def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")
