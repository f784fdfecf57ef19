"""Stands in for pycuda: memory, streams and captures. It enforces the rules of the real one.

Work on a stream is done only when the stream is synchronized. A captured graph must not be launched
once its context's shapes have changed.
"""

from __future__ import annotations

import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pretended_gpu.tensorrt import Context


class Stream:
    """It is destroyed with its last reference, and lost if no context is current then."""

    handle = 7

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        gpu.streams += 1
        self.queue: list[Callable[[], None]] = []
        self.recording: list[Callable[[], None]] | None = None

    def __del__(self) -> None:
        if self.gpu.contexts > 0:
            self.gpu.streams -= 1

    def put(self, work: Callable[[], None]) -> None:
        (self.queue if self.recording is None else self.recording).append(work)

    def synchronize(self) -> None:
        assert self.recording is None, "waiting is not allowed during a capture"
        queue, self.queue = self.queue, []
        for work in queue:
            work()


class Allocation:
    """Memory at an address. Using it after it was freed, or freeing it twice, fails."""

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
    """An array whose `base` frees it, as with pycuda's page-locked arrays."""

    owner: Any = None

    @property
    def base(self) -> Any:
        return self.owner


class Gpu:
    """The state that the stand-ins for pycuda and TensorRT share."""

    def __init__(self) -> None:
        self.allocated: dict[int, Allocation] = {}
        self.next_address = 0
        self.contexts = 0
        self.most_contexts = 0
        self.copies = 0
        self.streams = 0
        self.retained = 0
        self._stream: weakref.ref[Stream] | None = None
        self.failing_profiles = False
        self._driver = Driver(self)
        self.open_contexts: list[Context] = []
        self.graphs: list[Graph] = []
        self.failing_capture = False
        self.largest_allocation = 1 << 30

    @property
    def stream(self) -> Stream | None:
        """The open stream."""
        return self._stream() if self._stream else None

    def driver(self) -> Any:
        """The module that `import pycuda.driver` gives."""
        return self._driver

    def _retain(self) -> Any:
        self.retained += 1
        return SimpleNamespace(push=self._push)

    def _push(self) -> None:
        self.contexts += 1

    def _pop(self) -> None:
        self.contexts -= 1

    def _new_stream(self, flags: int) -> Stream:
        assert flags == 1, "only a non-blocking stream may be captured"
        stream = Stream(self)
        self._stream = weakref.ref(stream)
        return stream

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


class Driver:
    """The functions of pycuda.driver; hashable as a module is."""

    def __init__(self, gpu: Gpu) -> None:
        self.Error = PretendedCudaError
        self.init = lambda: None
        self.Device = lambda _: SimpleNamespace(retain_primary_context=gpu._retain)
        self.Context = SimpleNamespace(pop=gpu._pop)
        self.Stream, self.mem_alloc, self.pagelocked_empty = gpu._new_stream, gpu._mem_alloc, gpu._pagelocked_empty
        self.memcpy_htod_async, self.memcpy_dtoh_async = gpu._to_device, gpu._to_host


class PretendedCudaError(Exception):
    pass


class Graph:
    """Stands in for `CudaGraph`, which calls the driver's library directly."""

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
