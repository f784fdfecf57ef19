"""Stands in for TensorRT on machines without a GPU.

It enforces the rules of the real one: a context runs only when memory, addresses and shapes are
set. It shows that our code follows these rules. It does not show that TensorRT behaves as we think;
that is what tests/hardware is for.

The pretended engine computes y [B, N, 3] = 2 * x [B, N, 3] + n [B, N].
"""

from __future__ import annotations

import json
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from support.pretended_gpu.cuda import Stream

if TYPE_CHECKING:
    from support.pretended_gpu.cuda import Gpu


def tensorrt_package(
    gpu: Gpu, profiles: list[dict[str, list[tuple[int, ...]]]], *, captures_itself: bool = False
) -> Any:
    """The module that `import tensorrt` gives. Every file is an engine with these profiles."""
    names = {"CudaGraphStrategy": SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")} if captures_itself else {}
    return SimpleNamespace(
        __version__="10.3.0",
        ILogger=PretendedLogger,
        TensorIOMode=Mode,
        LayerInformationFormat=SimpleNamespace(JSON="json"),
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user"),
        nptype=lambda dtype: dtype,
        Runtime=lambda _: SimpleNamespace(
            deserialize_cuda_engine=lambda content: Engine(gpu, profiles) if bytes(content) == b"engine" else None
        ),
        **names,
    )


class PretendedLogger:
    INTERNAL_ERROR, ERROR, WARNING = range(3)


class Mode(Enum):
    INPUT = 1
    OUTPUT = 2


class Engine:
    names = ("x", "n", "y")
    types: ClassVar = {"x": np.float32, "n": np.int64, "y": np.float32}
    num_io_tensors = 3
    device_memory_size_v2 = 4096

    def __init__(self, gpu: Gpu, profiles: list[dict[str, list[tuple[int, ...]]]]) -> None:
        self.gpu, self.profiles = gpu, profiles
        self.num_optimization_profiles = len(profiles)

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.OUTPUT if name == "y" else Mode.INPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self.types[name]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, -1) if name == "n" else (-1, -1, 3)

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, ...]]:
        return self.profiles[index][name]

    def create_engine_inspector(self) -> Any:
        """Two profiles, and one fused attention in each."""
        assert self.gpu.contexts > 0
        names = ["_gemm_mha_v2_myl0_4", "__myl_MulAdd_myl0_5", "_gemm_mha_v2_myl1_4 [profile 1]"]
        return SimpleNamespace(get_engine_information=lambda _: json.dumps({"Layers": names, "Bindings": []}))

    def create_runtime_config(self) -> Any:
        return SimpleNamespace(set_execution_context_allocation_strategy=lambda _: None, cuda_graph_strategy=None)

    def create_execution_context(self, how: Any) -> Context:
        context = Context(self, how)
        self.gpu.open_contexts.append(context)
        return context


class Context:
    def __init__(self, engine: Engine, how: Any) -> None:
        self.engine, self.how = engine, how
        self.profile = -1
        self.memory = 0
        self.addresses: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.runs = 0

    def set_device_memory(self, address: int, size: int) -> None:
        assert self.engine.gpu.allocated[address].bytes.size >= size
        self.memory = address

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        if self.engine.gpu.failing_profiles:  # the real one does not return False
            raise RuntimeError("Error in set optimization profile async.")
        self.profile = index
        return stream == Stream.handle

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return address in self.engine.gpu.allocated

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self.engine.profiles[self.profile][name]
        self.shapes[name] = tuple(shape)
        return all(low <= size <= high for low, size, high in zip(least, shape, most, strict=True))

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes["x"] if name == "y" else self.shapes[name]

    def execute_async_v3(self, stream: int) -> bool:
        gpu = self.engine.gpu
        assert gpu.stream is not None
        assert stream == Stream.handle
        assert self.memory in gpu.allocated
        if gpu.stream.recording is not None and (gpu.failing_capture or self.runs == 0):
            return False
        if set(self.addresses) != set(self.engine.names):
            return False
        shapes = dict(self.shapes)
        gpu.stream.put(lambda: self._compute(shapes))
        return True

    def _compute(self, shapes: dict[str, tuple[int, ...]]) -> None:
        assert shapes == self.shapes, "the context's shapes changed under a captured graph"
        gpu = self.engine.gpu
        x = gpu.read(self.addresses["x"], shapes["x"], np.float32)
        n = gpu.read(self.addresses["n"], shapes["n"], np.int64)
        self.runs += 1
        gpu._write(self.addresses["y"], (2 * x + n[..., None]).astype(np.float32))
