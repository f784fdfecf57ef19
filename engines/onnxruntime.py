"""ONNX Runtime: runs an ONNX graph as it is, on any CPU, and on NVIDIA GPUs with onnxruntime-gpu."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from uhd_edge.engines.errors import EngineError, EngineUnavailableError
from uhd_edge.engines.interrupts import raise_interrupt_behind
from uhd_edge.engines.processor import Processor, this_processor
from uhd_edge.engines.signature import TensorSpec, check_inputs
from uhd_edge.engines.threads import usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from uhd_edge.engines.engine import Array, Engine

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

# `simulated` takes Q/DQ pairs at their word: values are rounded and products are FP32. So a graph
# is measured that is meant for other engines, whose sums do not overflow.
Int8Products: TypeAlias = Literal["integers", "simulated"]

_SILENT = 4  # only what ends the process is logged; errors come as exceptions


class OnnxRuntimeEngine:
    """One graph in one ONNX Runtime session.

    `providers` are ONNX Runtime's names, the preferred one first; `threads` are the cores
    that one run may use, all the usable ones without it; `products` is how linears between Q/DQ
    pairs are computed, and `processor` what for, this machine's without it. Raises `EngineError`
    when the graph or its weights are missing or damaged, and `EngineUnavailableError` when the
    preferred provider cannot be had.
    """

    def __init__(
        self,
        graph: Path,
        *,
        threads: int | None = None,
        providers: Sequence[str] = (CPU,),
        products: Int8Products = "integers",
        processor: Processor | None = None,
    ) -> None:
        if not graph.is_file():
            raise EngineError(f"{graph}: no such graph; export the bundle again")
        onnxruntime = import_onnxruntime()
        options = _session_options(onnxruntime, usable_cores() if threads is None else threads)
        if products == "simulated":
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        elif (this_processor() if processor is None else processor).int8_saturates:
            _sum_exactly(options)
        chosen = self._choose_providers(onnxruntime, options, providers)
        try:
            self._session = onnxruntime.InferenceSession(
                str(graph), sess_options=options, providers=chosen, enable_fallback=0
            )
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise _opening_error(graph, providers[0], error) from error
        self._graph = graph
        self.provider: str = self._session.get_providers()[0]
        if self.provider != providers[0]:
            self.close()
            raise EngineUnavailableError(
                f"onnxruntime lists {providers[0]} but runs {graph.name} on {self.provider}: "
                "its GPU libraries or the driver are missing; install them, or use the CPU"
            )
        self._inputs = {node.name: _spec(node) for node in self._session.get_inputs()}
        self._outputs = [node.name for node in self._session.get_outputs()]

    def _choose_providers(self, onnxruntime: Any, _options: Any, providers: Sequence[str]) -> list[str] | None:
        """Names for the session, or None where the options hold the provider."""
        _check_offered(onnxruntime, providers[0])
        return list(providers)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once: arrays by input name -> arrays by output name.

        Raises `EngineError` naming what the graph expects when a name, dtype or shape is
        wrong, when the engine has been closed, and when the run itself fails.
        """
        session = self._session  # another thread may close the engine meanwhile
        if session is None:
            raise EngineError(f"{self._graph}: the engine is closed; open it again")
        check_inputs(inputs, self._inputs, str(self._graph))
        try:
            values = session.run(self._outputs, dict(inputs))
        except Exception as error:
            raise EngineError(f"{self._graph}: the run failed ({one_line(error)})") from error
        return dict(zip(self._outputs, values, strict=True))

    def close(self) -> None:
        """Release the session and its memory; closing twice does nothing."""
        self._session = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def offered_providers() -> tuple[str, ...]:
    """Name the providers the installed ONNX Runtime was built with; whether they work shows only when opened."""
    return tuple(import_onnxruntime().get_available_providers())


def refuse_telemetry() -> None:
    """Keep ONNX Runtime from reporting what it runs to Microsoft, unless the user has set it otherwise.

    From 1.29 on it does so on Linux, and keeps an identifier of the machine in the user's cache,
    unless it is told not to before it does anything.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def import_onnxruntime() -> Any:
    """Import ONNX Runtime, late: it takes a fraction of a second that `--help` and errors need not wait for."""
    refuse_telemetry()
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise_interrupt_behind(error)
        raise EngineUnavailableError(
            f"onnxruntime cannot be imported ({one_line(error)}); pip install onnxruntime"
        ) from error


def _check_offered(onnxruntime: Any, provider: str) -> None:
    offered = onnxruntime.get_available_providers()
    if provider not in offered:
        raise EngineUnavailableError(
            f"onnxruntime {onnxruntime.__version__} here has {', '.join(offered)}, not {provider}; "
            "use one of these, or install onnxruntime-gpu on a machine with an NVIDIA GPU"
        )


def _opening_error(graph: Path, provider: str, error: Exception) -> EngineError:
    """On the CPU it is the graph's fault; elsewhere the provider may be to blame."""
    if provider == CPU:
        return EngineError(f"{graph}: cannot be opened ({one_line(error)}); export the bundle again")
    return EngineUnavailableError(f"{graph}: {provider} cannot open it ({one_line(error)}); use the CPU")


def _session_options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1  # the graphs are chains: there is never a second branch to run
    options.log_severity_level = _SILENT
    # Waiting threads sleep: spinning ones would take the cores from the language model and the robot's
    # other programs. Measured beside a busy process: 140 instead of 183 ms for ten small views.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _sum_exactly(options: Any) -> None:
    """Have INT8 products computed without saturation on x86 without VNNI (see `engines.processor`).

    The weights are then taken as uint8, 128 larger, and products of uint8 with uint8 are added
    in 32 bits. The result is the same to the last bit as that of a processor with VNNI. Known
    to ONNX Runtime since 2022; FP32 and FP16 graphs stay as they are. On two cores of Zen 3 INT8
    then takes 1.1 times as long as with saturation. Weights of 7 bits (`reduce_range`)
    would avoid saturation too, but cost digits on every processor. A processor with VNNI is
    spared the entry, for ONNX Runtime would leave its fast products there as well.
    """
    options.add_session_config_entry("session.x64quantprecision", "1")


def _spec(node: Any) -> TensorSpec:
    return TensorSpec(dtype=node.type.removeprefix("tensor(").removesuffix(")"), shape=tuple(node.shape))


def one_line(error: Exception) -> str:
    """Put what an exception of ONNX Runtime says into one line of bearable length."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}.."
