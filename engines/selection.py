"""Which engine runs a graph on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from uhd_edge.engines.errors import EngineError, EngineUnavailableError
from uhd_edge.engines.onnxruntime import CPU, CUDA, OnnxRuntimeEngine, offered_providers

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.engines.engine import Engine

EngineName: TypeAlias = Literal["auto", "onnxruntime", "tensorrt", "tensorrt-rtx"]


def open_engine(graph: Path, *, engine: EngineName, threads: int | None = None) -> Engine:
    """Open `graph` on the asked-for engine.

    `auto` takes the best engine that works here, which today is ONNX Runtime; that takes
    an NVIDIA GPU where onnxruntime-gpu really reaches one, and the CPU otherwise.
    `threads` are the CPU cores of one run, all the usable ones without it. Raises
    `EngineUnavailableError` saying what there is, and `EngineError` for a damaged graph.
    """
    check_engine(engine, threads)
    return _open_onnxruntime(graph, threads)


def check_engine(engine: EngineName, threads: int | None = None) -> None:
    """Raise what `open_engine` would raise for any graph, before one is at hand."""
    if threads is not None and threads < 1:
        raise EngineError(f"threads is {threads}; it must be 1 or more")
    if engine in ("tensorrt", "tensorrt-rtx"):
        here = ", ".join(name.removesuffix("ExecutionProvider") for name in offered_providers())
        raise EngineUnavailableError(
            f"{engine} is not part of this version, which runs graphs with onnxruntime (here: {here}); "
            "use auto or onnxruntime"
        )
    if engine not in ("auto", "onnxruntime"):
        raise EngineUnavailableError(f"there is no engine {engine!r}; use auto or onnxruntime")


def _open_onnxruntime(graph: Path, threads: int | None) -> Engine:
    if CUDA in offered_providers():
        try:
            return OnnxRuntimeEngine(graph, threads=threads, providers=(CUDA, CPU))
        except EngineUnavailableError:
            pass  # the package has the provider, the machine has no GPU for it
    return OnnxRuntimeEngine(graph, threads=threads, providers=(CPU,))
