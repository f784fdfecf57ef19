"""The optimizers, and the schedule of the learning rate: warm-up, plateau, linear decay."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from uhd_edge.tiny.training.muon import Muon

INNER = ("layers.", "vit_merger.", "connector.")


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
