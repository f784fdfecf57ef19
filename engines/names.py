"""The engine names a user can choose from; `auto` takes the best engine on this machine."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

EngineName: TypeAlias = Literal["auto", "onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"]
ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)
