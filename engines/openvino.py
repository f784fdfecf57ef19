"""OpenVINO as a provider of ONNX Runtime: on x86 processors the fastest at INT8 and half precision.

The package `onnxruntime-ep-openvino` is a plugin that ONNX Runtime loads into itself, with
OpenVINO's own libraries inside.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Literal

from uhd_edge.engines.errors import EngineUnavailableError
from uhd_edge.engines.extras import extra_needed
from uhd_edge.engines.graph_files import graph_files
from uhd_edge.engines.mapped_files import given_back
from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine, one_line
from uhd_edge.engines.threads import usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from uhd_edge.engines.engine import Array

OPENVINO = "OpenVINOExecutionProvider"

# What is not INT8 is computed in this: `half` is BF16 where the processor has it, else FP32.
Arithmetic = Literal["exact", "half"]

_REGISTERING = threading.Lock()


class OpenVinoEngine(OnnxRuntimeEngine):
    """One graph in one ONNX Runtime session that OpenVINO computes on the CPU.

    `threads` are the cores of one run, all the usable ones without it. Raises
    `MissingExtraError` without the package, `EngineUnavailableError` when OpenVINO does not
    load or cannot compute the whole graph, and `EngineError` for a missing or damaged graph.
    """

    def __init__(self, graph: Path, *, threads: int | None = None, arithmetic: Arithmetic = "exact") -> None:
        self._threads = usable_cores() if threads is None else threads
        self._arithmetic = arithmetic
        self._weights = graph_files(graph)[1:] if graph.is_file() else ()
        self._repacked: set[tuple[tuple[int, ...], ...]] = set()
        with given_back(self._weights):
            super().__init__(graph, threads=1, providers=(OPENVINO,))

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once, as `OnnxRuntimeEngine.run` does; new shapes may have weights repacked."""
        shapes = tuple(array.shape for array in inputs.values())
        if shapes in self._repacked:
            return super().run(inputs)
        with given_back(self._weights):
            outputs = super().run(inputs)
        self._repacked.add(shapes)
        return outputs

    def _choose_providers(self, onnxruntime: Any, options: Any, _providers: Sequence[str]) -> None:
        settings = {
            "INFERENCE_NUM_THREADS": str(self._threads),
            "ENABLE_CPU_PINNING": "NO",  # the cores are shared with the language model and other programs
            "INFERENCE_PRECISION_HINT": "f32" if self._arithmetic == "exact" else _half_precision(onnxruntime),
        }
        options.add_provider_for_devices([_device(onnxruntime)], {"load_config": json.dumps({"CPU": settings})})
        # What OpenVINO cannot compute would run node by node between the two, slower than either.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")


def _device(onnxruntime: Any) -> Any:
    """Find OpenVINO's CPU device among ONNX Runtime's; the plugin is loaded once in a process."""
    with extra_needed("openvino", "OpenVINO"):
        import onnxruntime_ep_openvino as plugin
    with _REGISTERING:
        found = _cpu_devices(onnxruntime)
        if not found:
            try:
                onnxruntime.register_execution_provider_library(OPENVINO, plugin.get_library_path())
            except Exception as error:  # onnxruntime's exceptions share no base class
                reason = one_line(error)
                raise EngineUnavailableError(f"OpenVINO cannot be loaded ({reason}); use onnxruntime") from error
            found = _cpu_devices(onnxruntime)
    if not found:
        raise EngineUnavailableError("OpenVINO does not know this processor; use onnxruntime")
    return found[0]


def _cpu_devices(onnxruntime: Any) -> list[Any]:
    return [
        device
        for device in onnxruntime.get_ep_devices()
        if device.ep_name == OPENVINO and device.ep_metadata.get("ov_device") == "CPU"
    ]


def _half_precision(onnxruntime: Any) -> str:
    capabilities = _device(onnxruntime).ep_metadata.get("OPTIMIZATION_CAPABILITIES", "").split()
    return "bf16" if "BF16" in capabilities else "f32"
