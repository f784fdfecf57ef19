"""Execution contexts of a TensorRT engine: one per profile, and one per captured shape.

The first time a shape occurs, it runs in its profile's context. The second time, it gets its
own context, whose work is captured as a CUDA graph and launched from then on. A graph is only
valid for the shapes of its context, so two shapes cannot share one. A camera's frames have two
or three shapes, so `MOST_CAPTURED` is enough; the least recently used graph is dropped.

All contexts share one block of device memory, since only one runs at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.tensorrt.cuda_graph import CudaGraph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.engines.tensorrt.profile_shapes import ProfileShapes

Shapes: TypeAlias = dict[str, tuple[int, ...]]
Key: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]

MOST_CAPTURED = 8


@dataclass(frozen=True)
class Captured:
    """A context whose work for one shape is captured."""

    context: Any
    graph: CudaGraph
    outputs: Shapes


class Executions:
    """The contexts of an open engine, and their captured graphs.

    `memory` is the address and size of the block that the contexts share; it must outlive
    this object. The CUDA context must be current in every method.
    """

    def __init__(
        self, trt: Any, engine: Any, stream: Any, profiles: list[ProfileShapes], memory: tuple[int, int]
    ) -> None:
        self._trt, self._memory = trt, memory
        self._stream: Any = stream
        self._engine: Any = engine
        self._addresses: dict[str, int] = {}
        self._outputs: list[str] = []
        # TensorRT-RTX captures graphs itself, as it compiles each kernel.
        self._captures = not hasattr(trt, "CudaGraphStrategy")
        try:
            self._contexts = {profile.index: self._new_context(profile) for profile in profiles}
        except BaseException:
            # The error's traceback would keep them.
            self._engine = self._stream = None
            del engine, stream
            raise
        self._seen: set[Key] = set()
        self._captured: OrderedDict[Key, Captured] = OrderedDict()

    def output_shapes(
        self, profile: ProfileShapes, inputs: Mapping[str, tuple[int, ...]], outputs: list[str]
    ) -> Shapes:
        """Return the shapes of the outputs for inputs of these shapes, without running."""
        return self._set_shapes(self._contexts[profile.index], inputs, outputs)

    def bind(self, addresses: Mapping[str, int], outputs: list[str]) -> None:
        """Set the device addresses of the tensors, in all contexts and in those created later."""
        self._addresses, self._outputs = dict(addresses), outputs
        for context in self._contexts.values():
            self._bind(context)

    def enqueue(self, profile: ProfileShapes, inputs: Mapping[str, tuple[int, ...]]) -> Shapes:
        """Put one run on the stream; returns the shapes of the outputs. Raises `EngineError`."""
        key = tuple(sorted(inputs.items()))
        if captured := self._captured.get(key):
            self._captured.move_to_end(key)
            captured.graph.launch(self._stream.handle)
            return captured.outputs
        if self._captures and key in self._seen:
            return self._run_and_capture(profile, inputs, key)
        self._seen.add(key)
        return self._run(self._contexts[profile.index], inputs)

    def close(self) -> None:
        """Release graphs and contexts; nothing may be running."""
        for captured in self._captured.values():
            captured.graph.free()
        self._captured.clear()
        self._contexts.clear()
        self._engine = self._stream = None  # so that they can be released

    def _run_and_capture(self, profile: ProfileShapes, inputs: Mapping[str, tuple[int, ...]], key: Key) -> Shapes:
        context = self._new_context(profile)
        self._bind(context)
        # Run normally first: the context initializes itself, which cannot be captured.
        outputs = self._run(context, inputs)
        self._stream.synchronize()
        try:
            graph = CudaGraph(self._stream.handle, lambda: bool(context.execute_async_v3(self._stream.handle)))
        except EngineError:
            self._captures = False  # some engines cannot be captured; they run as before
            return outputs
        if len(self._captured) == MOST_CAPTURED:
            _, oldest = self._captured.popitem(last=False)
            oldest.graph.free()
        self._captured[key] = Captured(context, graph, outputs)
        return outputs

    def _run(self, context: Any, inputs: Mapping[str, tuple[int, ...]]) -> Shapes:
        outputs = self._set_shapes(context, inputs, self._outputs)
        if not context.execute_async_v3(self._stream.handle):
            raise EngineError("TensorRT rejected the run")
        return outputs

    def _set_shapes(self, context: Any, inputs: Mapping[str, tuple[int, ...]], outputs: list[str]) -> Shapes:
        for name, shape in inputs.items():
            if not context.set_input_shape(name, shape):
                raise EngineError(f"TensorRT rejects {name} of shape {list(shape)}")
        return {name: tuple(context.get_tensor_shape(name)) for name in outputs}

    def _new_context(self, profile: ProfileShapes) -> Any:
        managed = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if self._captures:
            context = self._engine.create_execution_context(managed)
        else:
            config = self._engine.create_runtime_config()
            config.set_execution_context_allocation_strategy(managed)
            config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            context = self._engine.create_execution_context(config)
        if context is None:
            raise EngineError("TensorRT cannot create an execution context: not enough memory")
        context.set_device_memory(*self._memory)
        if not context.set_optimization_profile_async(profile.index, self._stream.handle):
            raise EngineError(f"TensorRT rejects profile {profile.index}")
        self._stream.synchronize()
        return context

    def _bind(self, context: Any) -> None:
        for name, address in self._addresses.items():
            if not context.set_tensor_address(name, address):
                raise EngineError(f"TensorRT rejects the memory of {name}")
