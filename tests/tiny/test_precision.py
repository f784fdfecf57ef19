"""A CPU computes in bfloat16 where that is quick, attention in plain products too, and is left as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from uhd_edge.tiny.training import precision
from uhd_edge.tiny.training.precision import mixed_precision, quick_in_bfloat16

SHARES = [(0.3, torch.bfloat16), (0.95, torch.float32), (10.0, torch.float32)]


@pytest.fixture(autouse=True)
def measured_anew() -> Iterator[None]:
    quick_in_bfloat16.cache_clear()
    yield
    quick_in_bfloat16.cache_clear()


def take(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Let bfloat16 take this share of float32's time."""
    monkeypatch.setattr(precision, "_seconds", {torch.float32: 1.0, torch.bfloat16: share}.__getitem__)


def attended(dtype: torch.dtype = torch.float32) -> Tensor:
    """What attention gives for some tokens, which carry a gradient."""
    torch.manual_seed(0)
    return scaled_dot_product_attention(*(torch.randn(1, 2, 8, 16, dtype=dtype, requires_grad=True) for _ in range(3)))


def is_fused(output: Tensor) -> bool:
    """Whether torch computed the attention, and will go backwards through it, in one operation."""
    return "FlashAttention" in type(output.grad_fn).__name__


@pytest.mark.parametrize(("share", "dtype"), SHARES, ids=str)
def test_a_cpu_computes_in_bfloat16_only_where_that_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, share: float, dtype: torch.dtype
) -> None:
    take(monkeypatch, share)
    with mixed_precision("cpu"):
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == dtype
        assert attended().dtype == dtype


@pytest.mark.parametrize(("share", "dtype"), SHARES, ids=str)
def test_attention_is_fused_where_it_is_computed_in_float32_alone(
    monkeypatch: pytest.MonkeyPatch, share: float, dtype: torch.dtype
) -> None:
    take(monkeypatch, share)
    with mixed_precision("cpu"):
        output = attended()
        assert is_fused(output) == (dtype == torch.float32)
    torch.testing.assert_close(output.float(), attended(), rtol=0, atol=0.02)  # bfloat16 has 8 bits


def test_attention_is_left_as_it_was_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    take(monkeypatch, 0.3)
    with pytest.raises(KeyboardInterrupt), mixed_precision("cpu"):
        raise KeyboardInterrupt
    assert is_fused(attended())
    assert not torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    assert not torch.is_autocast_enabled("cpu")
