"""The names by which a user chooses an engine; `auto` takes the best that this machine has."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

EngineName: TypeAlias = Literal["auto", "onnxruntime", "openvino", "tensorrt", "tensorrt-rtx"]
ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)
