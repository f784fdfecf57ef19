"""Which engine runs a graph on this machine."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from uhd_edge.engines.errors import EngineError, EngineRefusedError, EngineUnavailableError
from uhd_edge.engines.names import ENGINE_NAMES
from uhd_edge.engines.onnxruntime import CPU, CUDA, OnnxRuntimeEngine, offered_providers
from uhd_edge.engines.tensorrt.gpu import first_gpu
from uhd_edge.engines.tensorrt.library import NAMES, Backend, import_tensorrt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.engines.engine import Engine
    from uhd_edge.engines.names import EngineName
    from uhd_edge.engines.openvino import Arithmetic
    from uhd_edge.engines.processor import Processor


def check_engine(engine: EngineName, threads: int | None = None) -> None:
    """Raise `EngineError` for an engine that does not exist or a senseless number of threads."""
    if threads is not None and threads < 1:
        raise EngineError(f"threads is {threads}; it must be 1 or more")
    if engine not in ENGINE_NAMES:
        raise EngineUnavailableError(f"there is no engine {engine!r}; use {', '.join(ENGINE_NAMES)}")


def open_onnxruntime(
    graph: Path, *, threads: int | None = None, tell: Callable[[str], None] = lambda _: None
) -> Engine:
    """Open `graph` with ONNX Runtime: on an NVIDIA GPU where it really reaches one, on the CPU otherwise.

    `threads` are the CPU cores of one run, all the usable ones without it. `tell` is told
    why a GPU that onnxruntime-gpu offers is not used. Raises `EngineError` for a damaged graph.
    """
    if CUDA in offered_providers():
        try:
            return OnnxRuntimeEngine(graph, threads=threads, providers=(CUDA, CPU))
        except EngineUnavailableError as error:
            tell(str(error))  # the package has the provider, the machine has no GPU for it
    return OnnxRuntimeEngine(graph, threads=threads, providers=(CPU,))


@dataclass(frozen=True)
class Int8Engine:
    """What `auto` runs INT8 graphs with on a CPU, and why."""

    engine: Literal["onnxruntime", "openvino"]
    reason: str


def int8_engine(processor: Processor, *, openvino: bool) -> Int8Engine:
    """Choose the engine for INT8 graphs on `processor`; `openvino` tells whether it is installed.

    OpenVINO where x86 has VNNI or AMX: one view of the real size took 0.6 times as long there as
    on ONNX Runtime (two cores with AMX, OpenVINO as a plugin of ONNX Runtime then). On x86 without
    VNNI it took 1.8 times the processor time (two cores of Zen 3, both without overflow, two runs
    on a busy machine), and on ARM nothing was measured: ONNX Runtime there.
    """
    if not processor.is_x86:
        return Int8Engine("onnxruntime", f"OpenVINO was not compared on {processor.architecture}")
    if not processor.has_vnni:
        return Int8Engine("onnxruntime", "it is faster than OpenVINO on a processor without VNNI")
    if not openvino:
        return Int8Engine("onnxruntime", "OpenVINO would be faster here: pip install 'uhd-edge[openvino]'")
    return Int8Engine("openvino", "it is faster than ONNX Runtime on a processor with VNNI or AMX")


def openvino_is_installed() -> bool:
    """Whether OpenVINO is there; whether it loads shows when it is opened."""
    return importlib.util.find_spec("openvino") is not None


def open_openvino(graph: Path, *, threads: int | None = None, arithmetic: Arithmetic) -> Engine:
    """Open `graph` with OpenVINO on the CPU; see `OpenVinoEngine` for what it raises.

    What is not INT8 is computed in FP32 (`exact`) or, where the processor has it, in BF16 or
    on ARM in FP16 (`half`).
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
    """Open the engine out of `records`, engines built from `graph`, that fits this machine.

    `known_sha256` are digests that need not be computed again (see `check_fits`). Raises
    `MissingExtraError` when TensorRT or pycuda is not installed, `EngineUnavailableError`
    without an engine or a GPU, `EngineRefusedError` with the reason and the command that
    rebuilds, and `EngineError` for an engine that TensorRT does not take.
    """
    if not records:
        raise EngineUnavailableError(
            f"{graph}: no {NAMES[backend]} engine was built from it; build one with `uhd build` and its --target"
        )
    version = str(import_tensorrt(backend).__version__)
    capability = _compute_capability(backend)
    # A bundle may carry engines for several GPUs; the others' are no news where one is for this.
    fitting = [record for record in records if record.compute_capability == capability]
    refusals: list[EngineError] = []
    for record in fitting or records:
        try:
            return _open_record(record, graph, version, capability, known_sha256)
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
            f"{NAMES[backend]} engines run on an NVIDIA GPU, and none can be used here; use auto or onnxruntime"
        ) from error


def _open_record(
    record: EngineRecord, graph: Path, version: str, compute_capability: str, known_sha256: Mapping[Path, str]
) -> Engine:
    # Late, as everything of TensorRT's: who runs on a CPU need not wait for it.
    from uhd_edge.engines.building.engine_record import check_fits
    from uhd_edge.engines.tensorrt.engine import TensorRtEngine

    check_fits(
        record,
        graph=graph,
        backend_version=version,
        compute_capability=compute_capability,
        known_sha256=known_sha256,
    )
    return TensorRtEngine(record.path, backend=record.backend)
