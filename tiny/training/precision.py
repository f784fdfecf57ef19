"""Where training computes in bfloat16: on a GPU always, on a CPU where it is quick."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

CLEARLY = 0.8  # so that two processes on the same CPU hardly ever judge differently


@contextmanager
def mixed_precision(device: str) -> Iterator[None]:
    """Compute matrix products in bfloat16 inside this context, on a device of a type that is quick in it."""
    narrow = in_bfloat16(device)
    attention = _attention_of_products() if narrow and device == "cpu" else nullcontext()
    with torch.autocast(device, torch.bfloat16, enabled=narrow), attention:
        yield


def in_bfloat16(device: str) -> bool:
    """Whether training computes in bfloat16 on this type of device."""
    return device != "cpu" or quick_in_bfloat16()


@contextmanager
def _attention_of_products() -> Iterator[None]:
    """Let attention be plain products, all in bfloat16.

    In bfloat16, torch's fused attention for CPUs is the slower one, above all backwards.
    """
    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()  # type: ignore[no-untyped-call]
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)  # a CPU obeys it as well
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(before)


@functools.cache
def quick_in_bfloat16() -> bool:
    """Whether this CPU multiplies matrices clearly faster in bfloat16 than in float32. Many need ten times as long."""
    wide, narrow = (_seconds(dtype) for dtype in (torch.float32, torch.bfloat16))
    return narrow <= CLEARLY * wide


def _seconds(dtype: torch.dtype) -> float:
    """The least time of a few products of two matrices of this type."""
    matrix = torch.ones(512, 256, dtype=dtype)
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        torch.mm(matrix, matrix.T)
        taken.append(time.perf_counter() - started)
    return min(taken)
