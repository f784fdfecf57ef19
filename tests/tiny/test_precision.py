"""A CPU computes in bfloat16 where that is quick, attention in plain products too, and is left as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from uhd_edge.tiny.training import precision
from uhd_edge.tiny.training.precision import mixed_precision, quick_in_bfloat16


@pytest.fixture
def share(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """The share of float32's time that bfloat16 takes on this CPU."""
    monkeypatch.setattr(precision, "_seconds", {torch.float32: 1.0, torch.bfloat16: request.param}.__getitem__)
    quick_in_bfloat16.cache_clear()
    yield request.param
    quick_in_bfloat16.cache_clear()


on_every_cpu = pytest.mark.parametrize(
    ("share", "dtype"),
    [(0.3, torch.bfloat16), (0.95, torch.float32), (10.0, torch.float32)],
    indirect=["share"],
    ids=str,
)
on_a_quick_cpu = pytest.mark.parametrize("share", [0.3], indirect=True)


def attended() -> Tensor:
    """What attention gives for some tokens, which carry a gradient."""
    torch.manual_seed(0)
    return scaled_dot_product_attention(*(torch.randn(1, 2, 8, 16, requires_grad=True) for _ in range(3)))


def is_fused(output: Tensor) -> bool:
    """Whether torch computed the attention, and will go backwards through it, in one operation."""
    return "FlashAttention" in type(output.grad_fn).__name__


@on_every_cpu
@pytest.mark.usefixtures("share")
def test_a_cpu_computes_in_bfloat16_only_where_that_is_clearly_faster(dtype: torch.dtype) -> None:
    with mixed_precision("cpu"):
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == dtype


@on_every_cpu
@pytest.mark.usefixtures("share")
def test_attention_is_fused_where_it_is_computed_in_float32_alone(dtype: torch.dtype) -> None:
    with mixed_precision("cpu"):
        output = attended()
    assert output.dtype == dtype
    assert is_fused(output) == (dtype == torch.float32)
    torch.testing.assert_close(output.float(), attended(), rtol=0, atol=0.02)  # bfloat16 has 8 bits


@on_a_quick_cpu
@pytest.mark.usefixtures("share")
def test_attention_is_left_as_it_was_also_after_an_error() -> None:
    with pytest.raises(KeyboardInterrupt), mixed_precision("cpu"):
        raise KeyboardInterrupt
    assert is_fused(attended())
    assert not torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    assert not torch.is_autocast_enabled("cpu")
