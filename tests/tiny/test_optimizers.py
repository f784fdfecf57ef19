"""Muon for many matrices takes the steps of torch's own, which takes them one by one."""

from __future__ import annotations

import pytest
import torch

from uhd_edge.tiny.training import optimizers
from uhd_edge.tiny.training.optimizers import Muon, orthogonalised

SHAPES = ((24, 24), (24, 24), (48, 24), (24, 48), (24, 24))


@pytest.mark.parametrize("quick", [True, False])
def test_the_steps_are_those_of_torch(monkeypatch: pytest.MonkeyPatch, quick: bool) -> None:
    monkeypatch.setattr(optimizers, "in_bfloat16", lambda device: quick and device == "cpu")
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    theirs = [torch.nn.Parameter(matrix.detach().clone()) for matrix in ours]
    muon = Muon(list(ours), 1e-2, weight_decay=0.02, rounds=4)
    reference = torch.optim.Muon(theirs, lr=1e-2, weight_decay=0.02, adjust_lr_fn="match_rms_adamw", ns_steps=4)
    for _ in range(3):
        for one, other in zip(ours[:-1], theirs, strict=False):  # the last never has a gradient
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        muon.step()
        reference.step()  # type: ignore[no-untyped-call]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-4)  # bfloat16; a step is 1e-2


def test_a_matrix_without_a_gradient_stays_as_it_is() -> None:
    still = torch.nn.Parameter(torch.ones(4, 4))
    Muon([still], 1e-2, weight_decay=0.02, rounds=4).step()
    assert torch.equal(still, torch.ones(4, 4))


@pytest.mark.parametrize(("quick", "dtype"), [(True, torch.bfloat16), (False, torch.float32)], ids=str)
def test_a_cpu_orthogonalises_in_bfloat16_where_that_is_quick(
    monkeypatch: pytest.MonkeyPatch, quick: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(optimizers, "in_bfloat16", lambda device: quick and device == "cpu")
    assert orthogonalised(torch.eye(4)[None], 2).dtype == dtype
