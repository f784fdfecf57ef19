"""The optimizers, and the schedule of the learning rate: warm-up, plateau, linear decay.

Muon takes many small matrices: those of one shape are orthogonalised together. The rule is that of
`torch.optim.Muon` with `match_rms_adamw`, which takes the matrices one by one. A GPU would spend most
of a step on starting its thousand small operations.
"""

# pyright: reportPrivateImportUsage=false
# torch's functions over lists of tensors have no public names.

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from uhd_edge.tiny.training.precision import in_bfloat16

INNER = ("layers.", "vit_merger.", "connector.")
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

    In bfloat16, as `torch.optim.Muon` does it, on a GPU and on a CPU where that is quick: it is most
    of a step of the optimizer. Elsewhere in float32, as other CPUs need minutes for bfloat16.
    """
    first, second, third = COEFFICIENTS
    turned = matrices.shape[1] > matrices.shape[2]
    values = matrices.bfloat16() if in_bfloat16(matrices.device.type) else matrices
    if turned:
        values = values.mT
    values = values / values.norm(dim=(1, 2), keepdim=True).clamp(min=SMALLEST_NORM)
    for _ in range(rounds):
        gram = values @ values.mT
        values = torch.baddbmm(values, torch.baddbmm(gram, gram, gram, beta=second, alpha=third), values, beta=first)
    return values.mT if turned else values


class Pair:
    """Two optimizers used as one: Muon for the matrices of the layers, AdamW for everything else."""

    def __init__(self, matrices: Iterable[Tensor], others: Iterable[Tensor], rate: float) -> None:
        self.rate = rate
        self.muon = Muon(list(matrices), rate, weight_decay=0.02, rounds=4)
        self.adam = torch.optim.AdamW(list(others), lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)

    def step(self, share: float) -> None:
        """Clip the gradients, take one step at `share` of the full learning rate, and clear the gradients."""
        for optimizer in (self.muon, self.adam):
            for group in optimizer.param_groups:
                group["lr"] = self.rate * share
        parameters = [p for o in (self.muon, self.adam) for g in o.param_groups for p in g["params"]]
        nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], 2.0)
        for optimizer in (self.muon, self.adam):
            optimizer.step()
            optimizer.zero_grad()

    def state(self) -> dict[str, object]:
        """The state to save, for `load`."""
        return {"muon": self.muon.state_dict(), "adam": self.adam.state_dict()}

    def load(self, state: dict[str, object]) -> None:
        """Restore a saved `state`."""
        self.muon.load_state_dict(state["muon"])  # type: ignore[arg-type]
        self.adam.load_state_dict(state["adam"])  # type: ignore[arg-type]


def pair_for(model: nn.Module, rate: float) -> Pair:
    """Give the matrices inside layers, compressor and connector to Muon, and the rest to AdamW."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in model.named_parameters():
        inner = parameter.ndim == 2 and any(part in name for part in INNER)
        (matrices if inner else others).append(parameter)
    return Pair(matrices, others, rate)


def share_of_rate(done: float, warm: float = 0.02, decay: float = 0.3) -> float:
    """The fraction of the full learning rate to use when the fraction `done` (0..1) of a stage is over."""
    if done < warm:
        return max(done / warm, 0.02)
    return 1.0 if done < 1 - decay else max((1 - done) / decay, 0.0)
