"""Moves a batch, a frozen dataclass of tensors, to a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

Batch = TypeVar("Batch")


def on_device(batch: Batch, device: torch.device) -> Batch:
    """A copy of the batch with all its tensors on the device, also those in nested dataclasses and lists."""
    moved: Batch = _mapped(batch, lambda tensor: tensor.to(device, non_blocking=True))
    return moved


def pinned(batch: Batch) -> Batch:
    """A copy of the batch in memory that a GPU copies from while the CPU goes on."""
    moved: Batch = _mapped(batch, Tensor.pin_memory)
    return moved


def tensors_of(batch: Any) -> list[Tensor]:
    """All tensors of a batch, in the order of its fields."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    _mapped(batch, keep)
    return found


def _mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, list) and value and is_dataclass(value[0]):
        return [_mapped(item, function) for item in value]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return replace(value, **{field.name: _mapped(getattr(value, field.name), function) for field in fields(value)})
