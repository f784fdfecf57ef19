"""Muon for many small matrices: those of one shape are orthogonalised together.

The rule is that of `torch.optim.Muon` with `match_rms_adamw`, which takes the matrices one by
one. A GPU would spend most of a step on starting its thousand small operations.
"""

# pyright: reportPrivateImportUsage=false
# torch's functions over lists of tensors have no public names.

from __future__ import annotations

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration, by Keller Jordan
SMALLEST_NORM = 1e-7


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum 0.95. `step` changes only matrices that have a gradient."""

    def __init__(self, matrices: list[Tensor], rate: float, weight_decay: float, rounds: int) -> None:
        super().__init__(matrices, {"lr": rate, "weight_decay": weight_decay, "momentum": 0.95, "rounds": rounds})

    @torch.no_grad()
    def step(self, _closure: None = None) -> None:  # type: ignore[override]
        """Take one step along the orthogonalised gradients."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    shapes.setdefault(matrix.shape, []).append(matrix)
            for matrices in shapes.values():
                self._step(matrices, group["lr"], group["weight_decay"], group["momentum"], group["rounds"])

    def _step(self, matrices: list[Tensor], rate: float, decay: float, momentum: float, rounds: int) -> None:
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        for matrix in matrices:
            if "momentum_buffer" not in self.state[matrix]:
                self.state[matrix]["momentum_buffer"] = torch.zeros_like(matrix)
        running = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
        torch._foreach_lerp_(running, gradients, 1 - momentum)
        updates = torch.stack(torch._foreach_lerp(gradients, running, momentum))
        directions = orthogonalised(updates, rounds)
        reach = rate * 0.2 * max(matrices[0].shape) ** 0.5
        torch._foreach_mul_(matrices, 1 - rate * decay)
        torch._foreach_add_(matrices, [each.float() for each in directions.unbind()], alpha=-reach)


def orthogonalised(matrices: Tensor, rounds: int) -> Tensor:
    """[K, rows, columns] float32: give every matrix singular values near 1, by Newton-Schulz rounds.

    In bfloat16 on a GPU, as `torch.optim.Muon` does it, and in float32 elsewhere: few processors
    multiply bfloat16, and the others need minutes for it.
    """
    first, second, third = COEFFICIENTS
    turned = matrices.shape[1] > matrices.shape[2]
    values = matrices.bfloat16() if matrices.is_cuda else matrices
    if turned:
        values = values.mT
    values = values / values.norm(dim=(1, 2), keepdim=True).clamp(min=SMALLEST_NORM)
    for _ in range(rounds):
        gram = values @ values.mT
        values = torch.baddbmm(values, torch.baddbmm(gram, gram, gram, beta=second, alpha=third), values, beta=first)
    return values.mT if turned else values
