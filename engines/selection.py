"""Choose and open the engine that runs a graph on this machine."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar

from uhd_edge.engines.errors import EngineError, EngineRefusedError, EngineUnavailableError
from uhd_edge.engines.names import ENGINE_NAMES
from uhd_edge.engines.onnxruntime import CPU, CUDA, OnnxRuntimeEngine, offered_providers
from uhd_edge.engines.tensorrt.gpu import first_gpu
from uhd_edge.engines.tensorrt.library import INSTALL, NAMES, Backend, import_tensorrt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.engines.engine import Engine
    from uhd_edge.engines.names import EngineName
    from uhd_edge.engines.openvino import Arithmetic
    from uhd_edge.engines.processor import Processor

_Used = TypeVar("_Used")


def check_engine(engine: EngineName, threads: int | None = None) -> None:
    """Raise `EngineError` for an unknown engine or an invalid number of threads."""
    if threads is not None and threads < 1:
        raise EngineError(f"threads is {threads}; it must be 1 or more")
    if engine not in ENGINE_NAMES:
        raise EngineUnavailableError(f"unknown engine {engine!r}; use {', '.join(ENGINE_NAMES)}")


def open_onnxruntime(
    graph: Path, *, threads: int | None = None, tell: Callable[[str], None] = lambda _: None
) -> Engine:
    """Open `graph` with ONNX Runtime: on an NVIDIA GPU if one works, otherwise on the CPU.

    `threads` is the number of CPU cores per run (default: all usable cores). If onnxruntime-gpu
    is installed but the GPU cannot be used, `tell` gets the reason. Raises `EngineError` for a
    damaged graph.
    """
    if CUDA in offered_providers():
        try:
            return OnnxRuntimeEngine(graph, threads=threads, providers=(CUDA, CPU))
        except EngineUnavailableError as error:
            tell(str(error))  # the package supports CUDA, but this machine has no usable GPU
    return OnnxRuntimeEngine(graph, threads=threads, providers=(CPU,))


@dataclass(frozen=True)
class Int8Engine:
    """The engine that `auto` uses for INT8 graphs on a CPU, and the reason."""

    engine: Literal["onnxruntime", "openvino"]
    reason: str


def int8_engine(processor: Processor, *, openvino: bool) -> Int8Engine:
    """Choose the engine for INT8 graphs on `processor`; `openvino` says whether it is installed.

    OpenVINO on x86 with VNNI or AMX: one full-size view took 0.6 times as long as with ONNX
    Runtime on two cores with AMX (OpenVINO then ran as a plugin of ONNX Runtime), and 0.83 times
    on two Zen 4 cores with VNNI. With AVX2 alone it took 2.1 times as long (the same cores, the
    rest of their instructions hidden), and ARM was not measured, so both use ONNX Runtime.
    """
    if not processor.is_x86:
        return Int8Engine("onnxruntime", f"OpenVINO was not compared on {processor.architecture}")
    if not processor.has_vnni:
        return Int8Engine("onnxruntime", "it is faster than OpenVINO on a processor without VNNI")
    if not openvino:
        return Int8Engine("onnxruntime", "OpenVINO would be faster here: pip install 'uhd-edge[openvino]'")
    return Int8Engine("openvino", "it is faster than ONNX Runtime on a processor with VNNI or AMX")


@dataclass(frozen=True)
class PreferredPrecision:
    """Whether a verified INT8 graph or the FP32 graph is better on a processor, and the reason."""

    precision: Literal["int8", "fp32"]
    reason: str


def cpu_precision(processor: Processor) -> PreferredPrecision:
    """Choose the precision for `processor`: INT8 where it is known to be exact and not to be slower.

    One full-size view, 16x, two cores, ONNX Runtime: 0.52 s in INT8 and 1.87 s in FP32 with
    VNNI and AMX; 1.02 and 2.56 s with VNNI on Zen 4, 1.42 and 2.49 s with its AVX2 alone. ARM
    processors with dot products add INT8 products in one instruction; none was timed.
    """
    known = processor.features
    if processor.has_vnni:
        return PreferredPrecision("int8", "INT8 takes 0.3 to 0.4 times as long as FP32 on x86 with VNNI")
    if processor.is_x86 and "avx2" in known:
        return PreferredPrecision("int8", "INT8 takes about 0.6 times as long as FP32 on x86 with AVX2")
    if "asimddp" in known:
        return PreferredPrecision("int8", "INT8 should be faster on ARM with dot products, and was not timed there yet")
    if not known:
        return PreferredPrecision("fp32", "this processor's instructions are not known; INT8 may be slower on it")
    return PreferredPrecision("fp32", "this processor has no fast INT8 products")


def machine_precision(processor: Processor) -> PreferredPrecision:
    """Choose as `cpu_precision` does, and FP32 where ONNX Runtime has a GPU: our INT8 graphs are for CPUs."""
    if CUDA in offered_providers():
        try:
            return PreferredPrecision("fp32", f"ONNX Runtime is there for {first_gpu().name}, INT8 graphs are for CPUs")
        except EngineUnavailableError:
            pass  # opening a graph says why the GPU is not used
    return cpu_precision(processor)


def openvino_is_installed() -> bool:
    """Whether OpenVINO is installed; only opening a graph shows whether it loads."""
    return importlib.util.find_spec("openvino") is not None


def open_openvino(graph: Path, *, threads: int | None = None, arithmetic: Arithmetic) -> Engine:
    """Open `graph` with OpenVINO on the CPU; raises the errors of `OpenVinoEngine`.

    Everything but INT8 is computed in FP32 (`exact`) or, if the processor supports it, in
    BF16 on x86 and FP16 on ARM (`half`).
    """
    from uhd_edge.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(graph, threads=threads, arithmetic=arithmetic)


def open_tensorrt(
    graph: Path,
    *,
    backend: Backend,
    records: Sequence[EngineRecord],
    known_sha256: Mapping[Path, str] = MappingProxyType({}),
) -> Engine:
    """Open the engine that fits this machine; `records` are the engines built from `graph`.

    `known_sha256` holds digests that need not be computed again (see `check_fits`). Raises
    `MissingExtraError` if TensorRT or pycuda is not installed, `EngineUnavailableError` if
    there is no engine or no GPU, `EngineRefusedError` with the reason and the rebuild command
    if no engine fits, and `EngineError` if TensorRT cannot load the engine.
    """
    return _first_that_fits(graph, backend, records, known_sha256, _open_record)


def check_tensorrt(
    graph: Path,
    *,
    backend: Backend,
    records: Sequence[EngineRecord],
    known_sha256: Mapping[Path, str] = MappingProxyType({}),
) -> None:
    """Raise what `open_tensorrt` raises before it opens an engine: only whether TensorRT loads it is left open."""
    _first_that_fits(graph, backend, records, known_sha256, _check_packages)


def _first_that_fits(
    graph: Path,
    backend: Backend,
    records: Sequence[EngineRecord],
    known_sha256: Mapping[Path, str],
    use: Callable[[EngineRecord], _Used],
) -> _Used:
    """Return what `use` makes of the first of `records` that fits this machine and can be used."""
    # Imported late, like everything from TensorRT, so that CPU users do not wait for it.
    from uhd_edge.engines.building.engine_record import check_fits

    if not records:
        raise EngineUnavailableError(
            f"{graph}: no {NAMES[backend]} engine was built from it; build one with `uhd build` and its --target"
        )
    version = str(import_tensorrt(backend).__version__)
    capability = _compute_capability(backend)
    # A bundle may hold engines for several GPUs. If one is for this GPU, do not report the others.
    fitting = [record for record in records if record.compute_capability == capability]
    refusals: list[EngineError] = []
    for record in fitting or records:
        try:
            check_fits(
                record,
                graph=graph,
                backend_version=version,
                compute_capability=capability,
                known_sha256=known_sha256,
            )
            return use(record)
        except EngineError as error:
            refusals.append(error)
    if len(refusals) == 1:
        raise refusals[0]
    raise EngineRefusedError("; ".join(map(str, refusals))) from refusals[0]


def _compute_capability(backend: Backend) -> str:
    try:
        return first_gpu().compute_capability
    except EngineUnavailableError as error:
        raise EngineUnavailableError(
            f"{NAMES[backend]} engines run on an NVIDIA GPU, and none can be used here; ONNX Runtime needs none"
        ) from error


def _open_record(record: EngineRecord) -> Engine:
    from uhd_edge.engines.tensorrt.engine import TensorRtEngine

    return TensorRtEngine(record.path, backend=record.backend)


def _check_packages(record: EngineRecord) -> None:
    from uhd_edge.engines.tensorrt.cuda import check_pycuda

    check_pycuda(INSTALL[record.backend])
