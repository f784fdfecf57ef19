"""A pretended pycuda and a pretended TensorRT, for what no machine without a GPU can run.

They keep to the rules of the real ones and are strict about them: nothing on a stream happens
before the stream is waited for, a context runs only when memory, addresses and shapes are set,
and a captured graph is worthless once its context's shapes have changed. They prove that our
bookkeeping is right under these rules, not that TensorRT works as we think: that is what
tests/hardware is for.

The pretended engine computes y [B, N, 3] = 2 * x [B, N, 3] + n [B, N].
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np


class Stream:
    handle = 7

    def __init__(self) -> None:
        self.queue: list[Callable[[], None]] = []
        self.recording: list[Callable[[], None]] | None = None

    def put(self, work: Callable[[], None]) -> None:
        (self.queue if self.recording is None else self.recording).append(work)

    def synchronize(self) -> None:
        assert self.recording is None, "waiting is not allowed during a capture"
        queue, self.queue = self.queue, []
        for work in queue:
            work()


class Allocation:
    """Memory at an address; used after it was freed, or freed twice, it fails."""

    def __init__(self, gpu: Gpu, size: int) -> None:
        self.gpu, self.bytes = gpu, np.full(size, 0xAB, np.uint8)
        self.address = gpu.next_address = gpu.next_address + 4096
        gpu.allocated[self.address] = self

    def __int__(self) -> int:
        return self.address

    def free(self) -> None:
        assert self.gpu.contexts > 0, "freed without a current context"
        del self.gpu.allocated[self.address]


class Pinned(np.ndarray):
    """An array whose `base` frees it, as pycuda's page-locked arrays have it."""

    owner: Any = None

    @property
    def base(self) -> Any:
        return self.owner


class Gpu:
    """The state that both packages see."""

    def __init__(self) -> None:
        self.allocated: dict[int, Allocation] = {}
        self.next_address = 0
        self.contexts = 0
        self.most_contexts = 0
        self.copies = 0
        self.stream: Stream | None = None
        self.open_contexts: list[Context] = []
        self.graphs: list[Graph] = []
        self.failing_capture = False
        self.largest_allocation = 1 << 30

    def driver(self) -> Any:
        """What `import pycuda.driver` gives."""
        return SimpleNamespace(
            Error=PretendedCudaError,
            init=lambda: None,
            Device=lambda _: SimpleNamespace(retain_primary_context=lambda: SimpleNamespace(push=self._push)),
            Context=SimpleNamespace(pop=self._pop),
            Stream=self._new_stream,
            mem_alloc=self._mem_alloc,
            pagelocked_empty=self._pagelocked_empty,
            memcpy_htod_async=self._to_device,
            memcpy_dtoh_async=self._to_host,
        )

    def tensorrt(self, profiles: list[dict[str, list[tuple[int, ...]]]], *, captures_itself: bool = False) -> Any:
        """What `import tensorrt` gives; every file is an engine with these profiles."""
        names = {"CudaGraphStrategy": SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole")} if captures_itself else {}
        return SimpleNamespace(
            __version__="10.3.0",
            ILogger=PretendedLogger,
            TensorIOMode=Mode,
            ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user"),
            nptype=lambda dtype: dtype,
            Runtime=lambda _: SimpleNamespace(
                deserialize_cuda_engine=lambda content: Engine(self, profiles) if content == b"engine" else None
            ),
            **names,
        )

    def _push(self) -> None:
        self.contexts += 1

    def _pop(self) -> None:
        self.contexts -= 1

    def _new_stream(self, flags: int) -> Stream:
        assert flags == 1, "a stream that the default stream waits for must not be captured"
        self.stream = Stream()
        return self.stream

    def _mem_alloc(self, size: int) -> Allocation:
        if size > self.largest_allocation:
            raise PretendedCudaError("cuMemAlloc failed: out of memory")
        return Allocation(self, size)

    def _pagelocked_empty(self, size: int, dtype: Any) -> Any:
        owner = Allocation(self, size)
        array = owner.bytes.view(dtype).view(Pinned)
        array.owner = owner
        return array

    def _to_device(self, device: Allocation, host: Any, stream: Stream) -> None:
        self.copies += 1
        stream.put(lambda: self._write(int(device), host))

    def _to_host(self, host: Any, device: Allocation, stream: Stream) -> None:
        def copy() -> None:
            host[...] = self.read(int(device), host.shape, host.dtype)

        self.copies += 1
        stream.put(copy)

    def _write(self, address: int, array: Any) -> None:
        content = np.ascontiguousarray(array).view(np.uint8).ravel()
        self.allocated[address].bytes[: content.size] = content

    def read(self, address: int, shape: tuple[int, ...], dtype: Any) -> Any:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self.allocated[address].bytes[:size].view(dtype).reshape(shape)


class PretendedCudaError(Exception):
    pass


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


class Graph:
    """In place of `CudaGraph`, which calls the driver's library itself."""

    gpu: ClassVar[Gpu]

    def __init__(self, _stream: int, enqueue: Callable[[], bool]) -> None:
        from uhd_edge.engines.errors import EngineError

        assert self.gpu.stream is not None
        self.gpu.stream.recording = []
        enqueued = enqueue()
        self.work, self.gpu.stream.recording = self.gpu.stream.recording, None
        if not enqueued:
            raise EngineError("cannot be captured")
        self.launches = 0
        self.gpu.graphs.append(self)

    def launch(self, _stream: int) -> None:
        assert self.gpu.stream is not None
        self.launches += 1
        for work in self.work:
            self.gpu.stream.put(work)

    def free(self) -> None:
        self.gpu.graphs.remove(self)
