"""Moves a batch, a frozen dataclass of tensors, to a device."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

Batch = TypeVar("Batch")


def on_device(batch: Batch, device: torch.device) -> Batch:
    """A copy of the batch with all its tensors on the device, also those in nested dataclasses and lists."""
    if not is_dataclass(batch) or isinstance(batch, type):
        return batch
    moved = {field.name: _moved(getattr(batch, field.name), device) for field in fields(batch)}
    return replace(batch, **moved)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, list) and value and is_dataclass(value[0]):
        return [on_device(item, device) for item in value]
    return on_device(value, device)
