"""Compile a graph with the Python API that TensorRT and TensorRT-RTX share.

All versions from 10 on are used the same way: the graph states its types (strongly typed),
INT8 is explicit Q/DQ, and there are no precision flags, which version 11 has removed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uhd_edge.engines.building.engine_record import write_whole
from uhd_edge.engines.errors import EngineBuildError
from uhd_edge.engines.interrupts import held_interrupts
from uhd_edge.engines.tensorrt.library import NAMES, Backend, import_tensorrt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.engines.building.profiles import Profile

# Scratch memory that a kernel may ask for, in bytes. TensorRT's own limit is all of the GPU's memory, which on a
# Jetson is all of the board's.
WORKSPACE = 2**30

# The parser only warns about uint8 Q/DQ, and then reads it as int8, which gives wrong results.
UINT8_READ_AS_INT8 = "UINT8 zero_point"


def check_graph(graph: Path, backend: Backend) -> None:
    """Check that the parser of `backend` accepts `graph`; TensorRT-RTX needs no GPU for this.

    Raises `EngineBuildError` naming the rejected node, and `MissingExtraError` or
    `EngineUnavailableError` if the backend cannot be imported.
    """
    with held_interrupts():
        _Compilation(graph, backend)


def compile_graph(
    graph: Path,
    profiles: Sequence[Profile],
    *,
    backend: Backend,
    compute_capability: str | None,
    timing_cache: Path | None,
) -> memoryview:
    """Compile `graph` into an engine.

    `compute_capability`, such as "8.9", is what to build for (TensorRT-RTX); None means this
    machine's GPU. `timing_cache` is read if it exists and written afterwards, so that the
    next build measures less; TensorRT-RTX does not measure and has no cache. An interrupt
    ends the build at its next step. Raises `EngineBuildError` with the builder's message, and
    the errors of `check_graph`.
    """
    with held_interrupts() as interrupts:
        compilation = _Compilation(graph, backend)
        compilation.set_profiles(profiles)
        if compute_capability is not None:
            compilation.set_compute_capability(compute_capability)
        if timing_cache is not None:
            compilation.read_timing_cache(timing_cache)
        content = compilation.run(interrupts)
        if timing_cache is not None:
            compilation.write_timing_cache(timing_cache)
        return content


class _Compilation:
    """One graph being compiled, and the messages of the builder."""

    def __init__(self, graph: Path, backend: Backend) -> None:
        self._graph, self._name = graph, NAMES[backend]
        self._said: list[str] = []
        self._trt = import_tensorrt(backend)
        self._logger = _listening_logger(self._trt, self._said)
        try:
            self._builder = self._trt.Builder(self._logger)
            flag = self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED
            self._network = self._builder.create_network(1 << int(flag))
            self._config = self._builder.create_builder_config()
            # The engine then names its kernels, so that fused attention can be counted.
            self._config.profiling_verbosity = self._trt.ProfilingVerbosity.DETAILED
            self._config.set_memory_pool_limit(self._trt.MemoryPoolType.WORKSPACE, WORKSPACE)
        except Exception as error:  # pybind raises various types for a missing GPU or driver
            raise self._failed(f"cannot start building ({' '.join(str(error).split())})") from error
        self._parse()

    def set_profiles(self, profiles: Sequence[Profile]) -> None:
        for profile in profiles:
            wanted = self._builder.create_optimization_profile()
            for name, shapes in profile.items():
                wanted.set_shape(name, shapes.smallest, shapes.usual, shapes.largest)
            if self._config.add_optimization_profile(wanted) < 0:
                raise self._failed(f"rejects the shapes {profile}")

    def set_compute_capability(self, capability: str) -> None:
        known = getattr(self._trt.ComputeCapability, f"SM{capability.replace('.', '')}", None)
        self._config.num_compute_capabilities = 1
        if known is None or not self._config.set_compute_capability(known, 0):
            raise self._failed(f"{self._trt.__version__} cannot build for compute capability {capability}")

    def read_timing_cache(self, file: Path) -> None:
        content = file.read_bytes() if file.is_file() else b""
        cache = self._config.create_timing_cache(content)
        if cache is None or not self._config.set_timing_cache(cache, ignore_mismatch=False):
            # Damaged, or from another GPU or version: measure again.
            self._config.set_timing_cache(self._config.create_timing_cache(b""), ignore_mismatch=False)

    def write_timing_cache(self, file: Path) -> None:
        write_whole(file, memoryview(self._config.get_timing_cache().serialize()))

    def run(self, interrupts: Sequence[int]) -> memoryview:
        # Keep a reference until the end: TensorRT does not hold one.
        monitor = _stopping_monitor(self._trt, interrupts)
        self._config.progress_monitor = monitor
        serialized = self._builder.build_serialized_network(self._network, self._config)
        if serialized is None:
            raise self._failed("cannot build it")
        return memoryview(serialized)

    def _parse(self) -> None:
        parser = self._trt.OnnxParser(self._network, self._logger)
        if not parser.parse_from_file(str(self._graph)):
            raise EngineBuildError(f"{self._graph}: {self._name} rejects the graph: {_refusal(parser.get_error(0))}")
        if any(UINT8_READ_AS_INT8 in line for line in self._said):
            raise EngineBuildError(
                f"{self._graph}: {self._name} rejects the graph: it is quantized to uint8, and only int8 with zero "
                "point 0 is read correctly; use the graphs that `uhd calibrate` makes for TensorRT"
            )

    def _failed(self, what: str) -> EngineBuildError:
        return EngineBuildError(f"{self._graph}: {self._name} {what}: {last_words(self._said)}")


def _refusal(error: Any) -> str:
    """Return the parser's message about a node."""
    try:
        where = f"node {error.node_name()} ({error.node_operator()}): " if error.node_operator() else ""
        return " ".join(f"{where}{error.desc()}".split())
    except UnicodeDecodeError:  # it quotes names from the file, which may be any bytes
        return "it is damaged"


def last_words(lines: Sequence[str]) -> str:
    """Return the builder's first error message, without its source location."""
    errors = [line for line in lines if "rror" in line]
    return re.sub(r" In \w+ at /_src/[^)]*", "", (errors or [*lines, "no reason given"])[0])


def _stopping_monitor(trt: Any, interrupts: Sequence[int]) -> Any:
    """Create a monitor that stops a build once `interrupts` is not empty."""

    class Stopping(trt.IProgressMonitor):  # type: ignore[misc]  # the class is known only once TensorRT is imported
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            pass

        def step_complete(self, _phase_name: str, _step: int) -> bool:
            return not interrupts

        def phase_finish(self, phase_name: str) -> None:
            pass

    return Stopping()


def _listening_logger(trt: Any, said: list[str]) -> Any:
    """Create a logger that collects warnings and errors instead of printing them."""
    kept = (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR, trt.ILogger.WARNING)

    class Listening(trt.ILogger):  # type: ignore[misc]  # the class is known only once TensorRT is imported
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in kept:
                said.append(" ".join(message.split()))

    return Listening()
