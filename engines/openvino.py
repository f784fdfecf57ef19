"""OpenVINO on the CPU: the fastest engine for INT8 and half precision on x86 with VNNI or AMX, and for FP16 on ARM."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from uhd_edge.engines.engine import ClosedByWith
from uhd_edge.engines.errors import EngineError, EngineUnavailableError
from uhd_edge.engines.extras import extra_needed
from uhd_edge.engines.graph_files import graph_files, weights_elsewhere
from uhd_edge.engines.interrupts import kept_signal_stack
from uhd_edge.engines.mapped_files import given_back
from uhd_edge.engines.onnxruntime import one_line
from uhd_edge.engines.processor import Processor, int8_overflows, this_processor
from uhd_edge.engines.signature import TensorSpec, check_inputs
from uhd_edge.engines.threads import usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from uhd_edge.engines.engine import Array

OPENVINO = "OpenVINO"

# How everything but INT8 is computed: `half` is BF16 on x86 and FP16 on ARM if the processor has it, else FP32.
Arithmetic: TypeAlias = Literal["exact", "half"]

# Lines of OpenVINO's errors that point into its own source code.
_NOISE = ("Exception from ", "Check '", "FrontEnd API failed")


class OpenVinoEngine(ClosedByWith):
    """One graph, run by OpenVINO on the CPU.

    `threads` is the number of cores per run (default: all usable cores). `processor` is the
    processor to compute INT8 for (default: this machine's). Raises `MissingExtraError` if
    OpenVINO is not installed, `EngineUnavailableError` if it does not load or cannot compile
    the graph, and `EngineError` if the graph is missing or damaged.
    """

    provider: str = OPENVINO

    def __init__(
        self,
        graph: Path,
        *,
        threads: int | None = None,
        arithmetic: Arithmetic = "exact",
        processor: Processor | None = None,
    ) -> None:
        if not graph.is_file():
            raise EngineError(f"{graph}: no such graph; export the bundle again")
        self._graph = graph
        self._weights = graph_files(graph)[1:]
        if missing := [file.name for file in self._weights if not file.is_file()]:
            raise EngineError(f"{graph}: its weights are missing ({', '.join(missing)}); export the bundle again")
        self._repacked: set[tuple[tuple[int, ...], ...]] = set()
        self._running = threading.Lock()
        core = _open_core()
        here = this_processor() if processor is None else processor
        settings = _settings(usable_cores() if threads is None else threads, _precision(core, arithmetic))
        if int8_overflows(graph, here):
            # Without its low-precision transformations OpenVINO executes the Q/DQ pairs in FP32, if it may
            # not round activations as it sees fit beside weights that are stored as INT8.
            settings |= {"LP_TRANSFORMS_MODE": "NO", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
        with given_back(self._weights):
            try:
                self._model: Any = core.compile_model(graph, "CPU", settings)
                self._request: Any = self._model.create_infer_request()
            except Exception as error:  # OpenVINO raises RuntimeError, and pybind11 others
                if (problem := weights_elsewhere(graph)) is not None:
                    raise EngineError(problem) from error
                raise EngineUnavailableError(
                    f"{graph}: {OPENVINO} cannot open it ({_reason(error)}); use onnxruntime"
                ) from error
        self._inputs = {port.get_any_name(): _spec(port) for port in self._model.inputs}
        self._outputs = [port.get_any_name() for port in self._model.outputs]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once: arrays by input name -> arrays by output name.

        One run at a time; other threads wait. Raises `EngineError` if a name, dtype or shape
        is wrong (the message says what the graph expects), if the engine is closed, or if the
        run fails.
        """
        with self._running:
            if self._request is None:
                raise EngineError(f"{self._graph}: the engine is closed; open it again")
            check_inputs(inputs, self._inputs, str(self._graph))
            shapes = tuple(inputs[name].shape for name in self._inputs)
            # OpenVINO may repack the weights for new shapes, which reads all of them.
            with given_back(() if shapes in self._repacked else self._weights):
                outputs = self._infer(inputs)
            self._repacked.add(shapes)
            return outputs

    def _infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            values = self._request.infer(dict(inputs), share_inputs=True)
        except Exception as error:
            raise EngineError(f"{self._graph}: the run failed ({_reason(error)})") from error
        return {name: values[name] for name in self._outputs}

    def close(self) -> None:
        """Wait for a run in progress, then release the graph and its memory; safe to call twice."""
        with self._running:
            self._request = self._model = None


def _open_core() -> Any:
    """Load OpenVINO and check that it has a CPU device; failures are not cached."""
    try:
        with extra_needed("openvino", OPENVINO):
            import openvino
        with kept_signal_stack():  # asking for the devices loads their plugins
            core = openvino.Core()
            devices = core.available_devices
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineUnavailableError(f"{OPENVINO} cannot be loaded ({_reason(error)}); use onnxruntime") from error
    if "CPU" not in devices:
        found = ", ".join(devices) or "nothing"
        raise EngineUnavailableError(f"{OPENVINO} cannot use this processor, only {found}; use onnxruntime")
    return core


def _settings(threads: int, precision: str) -> dict[str, object]:
    return {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,  # the cores are shared with the language model and other programs
        "ENABLE_MMAP": True,
    }


def _precision(core: Any, arithmetic: Arithmetic) -> str:
    capabilities: Sequence[str] = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if arithmetic == "exact":
        return "f32"
    # BF16 first: it has the range of FP32, while FP16 ends at 65504.
    return next((name for known, name in (("BF16", "bf16"), ("FP16", "f16")) if known in capabilities), "f32")


def _spec(port: Any) -> TensorSpec:
    sizes = (None if size.is_dynamic else size.get_length() for size in port.get_partial_shape())
    return TensorSpec(dtype=str(port.get_element_type().to_dtype()), shape=tuple(sizes))


def _reason(error: Exception) -> str:
    """Put OpenVINO's message on one line, without references to its source code."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(_NOISE)]
    return one_line(Exception(" ".join(told) or str(error)))
