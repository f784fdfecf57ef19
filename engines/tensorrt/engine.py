"""TensorRT and TensorRT-RTX: run an engine that was built for this GPU.

Both have the same Python API. The parts used here exist since TensorRT 10.1: tensors by
name, `execute_async_v3`, and contexts with memory supplied by the caller.
"""

from __future__ import annotations

import math
import mmap
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from uhd_edge.engines.engine import ClosedByWith
from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.interrupts import held_interrupts
from uhd_edge.engines.signature import TensorSpec, check_inputs
from uhd_edge.engines.tensorrt.cuda import CudaDevice
from uhd_edge.engines.tensorrt.executions import Executions
from uhd_edge.engines.tensorrt.fused_attention import count_fused
from uhd_edge.engines.tensorrt.library import INSTALL, NAMES, Backend, gathering_logger, import_tensorrt
from uhd_edge.engines.tensorrt.profile_shapes import profile_for, read_profiles, split_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from uhd_edge.engines.engine import Array
    from uhd_edge.engines.tensorrt.cuda import Buffer


class TensorRtEngine(ClosedByWith):
    """One engine file, open on the first GPU.

    Buffers for the largest shapes of the engine's profiles are allocated on opening and kept
    until `close`. Runs from several threads take turns. A batch larger than the engine was
    built for is split into several runs.

    Raises `MissingExtraError` if TensorRT or pycuda is not installed, `EngineUnavailableError`
    without a GPU, and `EngineError` for a file that TensorRT cannot load.
    """

    def __init__(self, file: Path, *, backend: Backend) -> None:
        self._file = file
        self.provider = NAMES[backend]
        self._lock = threading.Lock()
        self._errors: list[str] = []
        trt = import_tensorrt(backend)
        self._device = CudaDevice(INSTALL[backend])
        # TensorRT calls its logger while it opens an engine, and drops exceptions raised there.
        with held_interrupts(), self._device.active(str(file)), self._naming(), ExitStack() as undo:
            undo.callback(self._device.close)
            # Runtime and logger live as long as the engine: TensorRT keeps no reference to them.
            self._logger = gathering_logger(trt, self._errors)
            self._runtime: Any = trt.Runtime(self._logger)
            self._engine: Any = self._deserialize()
            self._json = trt.LayerInformationFormat.JSON
            self._allocate(trt, undo)
            self._release = undo.pop_all()

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Element type and shape of each input."""
        return self._inputs

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the engine: arrays by input name -> new arrays by output name.

        Raises `EngineError` if a name, dtype or shape is wrong or outside what the engine was
        built for (the message says what it expects), if it is closed, or if the run fails.
        """
        with self._lock:
            if self._engine is None:
                raise EngineError(f"{self._file}: the engine is closed; open it again")
            check_inputs(inputs, self._inputs, str(self._file))
            with held_interrupts(), self._device.active(str(self._file)), self._naming():
                parts = [self._run(part) for part in split_batch(self._profiles, inputs)]
        return (
            parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        )

    def count_fused_attentions(self) -> int | None:
        """Count the attentions that run as one kernel each; None if the engine does not name its layers.

        Raises `EngineError` if it is closed.
        """
        with self._lock:
            if self._engine is None:
                raise EngineError(f"{self._file}: the engine is closed; open it again")
            with held_interrupts(), self._device.active(str(self._file)), self._naming():
                inspector = self._engine.create_engine_inspector()
                return count_fused(inspector.get_engine_information(self._json))

    def close(self) -> None:
        """Free graphs, contexts, buffers and the engine; safe to call twice."""
        with self._lock:
            if self._engine is None:
                return
            with held_interrupts(), self._device.active(str(self._file)):
                self._release.close()
                self._engine = self._runtime = None

    def _deserialize(self) -> Any:
        try:
            # Mapped, not read: a gigabyte of a file's pages can be dropped again, a copy of them cannot.
            with self._file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                engine = self._runtime.deserialize_cuda_engine(content)
        except OSError as error:
            raise EngineError(f"cannot be read ({error.strerror}); build it again") from error
        except ValueError as error:
            raise EngineError("is empty; build it again") from error
        if engine is None:
            raise EngineError(f"{self.provider} cannot load it on this machine; build it again here")
        return engine

    def _allocate(self, trt: Any, undo: ExitStack) -> None:
        """Allocate everything a run needs; `undo` frees it in reverse order."""
        engine = self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self._outputs = [name for name in names if name not in inputs]
        self._types = {name: np.dtype(trt.nptype(engine.get_tensor_dtype(name))) for name in names}
        self._inputs = {name: self._spec(name) for name in inputs}
        self._profiles = read_profiles(engine, inputs)
        scratch = self._device.allocate(max(1, engine.device_memory_size_v2))
        undo.callback(scratch.free)
        memory = (int(scratch), engine.device_memory_size_v2)
        self._executions = Executions(trt, engine, self._device.stream, self._profiles, memory)
        undo.callback(self._executions.close)
        self._buffers: dict[str, Buffer] = {}
        for name, size in self._largest_sizes().items():
            self._buffers[name] = self._device.buffer(size)
            undo.callback(self._buffers[name].free)
        addresses = {name: buffer.address for name, buffer in self._buffers.items()}
        self._executions.bind(addresses, self._outputs)
        # Runs first on closing: a failed run may have left copies in progress.
        undo.callback(self._device.stream.synchronize)

    def _spec(self, name: str) -> TensorSpec:
        shape = tuple(None if size < 0 else size for size in self._engine.get_tensor_shape(name))
        return TensorSpec(self._types[name].name, shape)

    def _largest_sizes(self) -> dict[str, int]:
        """Compute the bytes of each tensor in the profile where it is largest."""
        sizes: dict[str, int] = {}
        for profile in self._profiles:
            shapes = self._executions.output_shapes(profile, profile.largest, self._outputs) | profile.largest
            for name, shape in shapes.items():
                sizes[name] = max(math.prod(shape) * self._types[name].itemsize, sizes.get(name, 0))
        return sizes

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        shapes = {name: array.shape for name, array in inputs.items()}
        profile = profile_for(self._profiles, shapes)
        stream = self._device.stream
        for name, array in inputs.items():
            self._buffers[name].upload(array, stream)
        output_shapes = self._executions.enqueue(profile, shapes)
        pinned = {
            name: self._buffers[name].download(shape, self._types[name], stream)
            for name, shape in output_shapes.items()
        }
        stream.synchronize()
        return {name: array.copy() for name, array in pinned.items()}

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Add the file's name and TensorRT's first error message to an `EngineError`.

        Some of TensorRT's functions return False when they fail; others raise a `RuntimeError`, which
        becomes an `EngineError` too.
        """
        self._errors.clear()
        try:
            yield
        except (EngineError, RuntimeError) as error:
            said = f" ({self._errors[0]})" if self._errors else ""
            kind = type(error) if isinstance(error, EngineError) else EngineError
            raise kind(f"{self._file}: {' '.join(str(error).split())}{said}") from error
