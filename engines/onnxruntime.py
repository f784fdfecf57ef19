"""ONNX Runtime: runs ONNX graphs directly on any CPU, and on NVIDIA GPUs with onnxruntime-gpu."""

from __future__ import annotations

import importlib
import os
import re
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from uhd_edge.engines.engine import ClosedByWith
from uhd_edge.engines.errors import EngineError, EngineUnavailableError
from uhd_edge.engines.fusing.attention import with_fused_attention
from uhd_edge.engines.graph_files import weights_elsewhere
from uhd_edge.engines.interrupts import raise_interrupt_behind
from uhd_edge.engines.processor import Processor, int8_overflows, this_processor
from uhd_edge.engines.signature import TensorSpec, check_inputs
from uhd_edge.engines.threads import usable_cores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from uhd_edge.engines.engine import Array

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

# `simulated` executes Q/DQ pairs literally: values are rounded, products are computed in FP32.
# It measures graphs meant for other engines, whose sums do not overflow.
Int8Products: TypeAlias = Literal["integers", "simulated"]

# The first release that neither saturates nor aborts in INT8 on x86 without VNNI.
EXACT_INT8 = (1, 31)

_SILENT = 4  # log fatal messages only; errors are raised as exceptions


class OnnxRuntimeEngine(ClosedByWith):
    """One graph in one ONNX Runtime session.

    `providers` are ONNX Runtime's names, the preferred one first. `threads` is the number of
    cores per run (default: all usable cores). `products` is how linears between Q/DQ pairs
    are computed, `processor` the processor to compute them for (default: this machine's).
    With `in_order`, nodes run in the order of the file, where ONNX Runtime may otherwise leave
    the nodes of further outputs to the end and keep their inputs until then.
    Raises `EngineError` if the graph or its weights are missing or damaged, and
    `EngineUnavailableError` if the preferred provider is not available.
    """

    def __init__(
        self,
        graph: Path,
        *,
        threads: int | None = None,
        providers: Sequence[str] = (CPU,),
        products: Int8Products = "integers",
        processor: Processor | None = None,
        in_order: bool = False,
    ) -> None:
        if not graph.is_file():
            raise EngineError(f"{graph}: no such graph; export the bundle again")
        onnxruntime = import_onnxruntime()
        options = _session_options(onnxruntime, usable_cores() if threads is None else threads)
        if products == "simulated":
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        elif int8_overflows(graph, this_processor() if processor is None else processor):
            _refuse_aborting(onnxruntime.__version__, graph)
            _sum_exactly(options)
        if in_order:
            options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
        chosen = self._choose_providers(onnxruntime, options, providers)
        said = load_cuda() if providers[0] == CUDA else ""
        try:
            self._session = onnxruntime.InferenceSession(
                _model(graph, options, fused=providers[0] == CPU and products == "integers"),
                sess_options=options,
                providers=chosen,
                enable_fallback=0,
            )
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise _opening_error(graph, providers[0], error) from error
        self._graph = graph
        self.provider: str = self._session.get_providers()[0]
        if self.provider != providers[0]:
            self.close()
            raise EngineUnavailableError(
                f"onnxruntime lists {providers[0]} but runs {graph.name} on {self.provider}: its GPU libraries or the "
                f"driver are missing{f' ({said})' if said else ''}; install them, or use the CPU"
            )
        self._inputs = {node.name: _spec(node) for node in self._session.get_inputs()}
        self._outputs = [node.name for node in self._session.get_outputs()]

    def _choose_providers(self, onnxruntime: Any, _options: Any, providers: Sequence[str]) -> list[str] | None:
        """Return provider names for the session, or None if the options already select the provider."""
        _check_offered(onnxruntime, providers[0])
        return list(providers)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the graph once: arrays by input name -> arrays by output name.

        Raises `EngineError` if a name, dtype or shape is wrong (the message says what the
        graph expects), if the engine is closed, or if the run fails.
        """
        session = self._session  # another thread may close the engine during the run
        if session is None:
            raise EngineError(f"{self._graph}: the engine is closed; open it again")
        check_inputs(inputs, self._inputs, str(self._graph))
        try:
            values = session.run(self._outputs, dict(inputs))
        except Exception as error:
            raise EngineError(f"{self._graph}: the run failed ({one_line(error)})") from error
        return dict(zip(self._outputs, values, strict=True))

    def close(self) -> None:
        """Release the session and its memory; safe to call twice."""
        self._session = None


def offered_providers() -> tuple[str, ...]:
    """List the providers the installed ONNX Runtime was built with; only opening a graph shows whether they work."""
    return tuple(import_onnxruntime().get_available_providers())


def refuse_telemetry() -> None:
    """Stop ONNX Runtime from sending telemetry to Microsoft, unless the user has set the variable.

    Since 1.29 it sends telemetry on Linux too and stores a machine identifier in the user's
    cache. The variable must be set before ONNX Runtime is imported.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def import_onnxruntime() -> Any:
    """Import ONNX Runtime late: importing it would delay `--help` and errors by a fraction of a second."""
    refuse_telemetry()
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise_interrupt_behind(error)
        raise EngineUnavailableError(
            f"onnxruntime cannot be imported ({one_line(error)}); pip install onnxruntime"
        ) from error


@cache
def load_cuda() -> str:
    """Load CUDA and cuDNN where pip has installed them, and return what ONNX Runtime says is missing, in one line.

    Its CUDA provider looks for them where the system does; the folders of the packages nvidia-cublas,
    nvidia-cudnn-cu13 and so on are not among these, so that without this it runs on the CPU. ONNX
    Runtime has the function since 1.21, and prints what it cannot find: standard output is for answers.
    Once in a process is enough, as libraries stay loaded.
    """
    onnxruntime = import_onnxruntime()
    if not hasattr(onnxruntime, "preload_dlls"):
        return ""
    with redirect_stdout(StringIO()) as said:
        onnxruntime.preload_dlls()
    lines = said.getvalue().splitlines()
    return "; ".join(line for line in lines if line.startswith("Failed to load"))[:300]


def _check_offered(onnxruntime: Any, provider: str) -> None:
    offered = onnxruntime.get_available_providers()
    if provider not in offered:
        raise EngineUnavailableError(
            f"onnxruntime {onnxruntime.__version__} offers {', '.join(offered)}, not {provider}; "
            "use one of these, or install onnxruntime-gpu on a machine with an NVIDIA GPU"
        )


def _opening_error(graph: Path, provider: str, error: Exception) -> EngineError:
    """Without links, the graph is at fault on the CPU; elsewhere it may be the provider."""
    if (problem := weights_elsewhere(graph)) is not None:
        return EngineError(problem)
    if provider == CPU:
        return EngineError(f"{graph}: cannot be opened ({one_line(error)}); export the bundle again")
    return EngineUnavailableError(f"{graph}: {provider} cannot open it ({one_line(error)}); use the CPU")


def _session_options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1  # the graphs have no parallel branches
    options.log_severity_level = _SILENT
    # Waiting threads sleep. Spinning threads would take cores from the language model and from other
    # programs. Measured next to a busy process: 140 instead of 183 ms for ten small views.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _model(graph: Path, options: Any, *, fused: bool) -> str | bytes:
    """Return what ONNX Runtime opens: the graph's path, or with `fused` its bytes, if it has attention to fuse."""
    content = with_fused_attention(graph) if fused else None
    if content is None:
        return str(graph)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(graph.parent))
    return content


def _sum_exactly(options: Any) -> None:
    """Compute INT8 products that may overflow without saturation on x86 without VNNI (see `engines.processor`).

    ONNX Runtime then treats the weights as uint8, offset by 128, and accumulates uint8 x uint8
    products in 32 bits. The result is bit-identical to that of a processor with VNNI. ONNX
    Runtime has this option since 2022; FP32 and FP16 graphs are not affected. Measured on two
    Zen 3 cores: INT8 takes 1.1 times as long as with saturation. The option is not set on
    processors with VNNI, where it would disable the fast products.
    """
    options.add_session_config_entry("session.x64quantprecision", "1")


def _refuse_aborting(version: str, graph: Path) -> None:
    """Raise `EngineUnavailableError` where the option of `_sum_exactly` would abort the process.

    Seen with ONNX Runtime 1.20 to 1.29; 1.30 was not tried, 1.31 and 1.32 work.
    """
    release = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if release < EXACT_INT8:
        raise EngineUnavailableError(
            f"{graph}: onnxruntime {version} cannot compute its INT8 exactly on this processor, which has no VNNI; "
            'calibrate it again, pip install "onnxruntime>=1.31" (Python 3.11 or later), or use --precision fp32'
        )


def _spec(node: Any) -> TensorSpec:
    return TensorSpec(dtype=node.type.removeprefix("tensor(").removesuffix(")"), shape=tuple(node.shape))


def one_line(error: Exception) -> str:
    """Put the message of an exception on one line of at most about 300 characters.

    A failure of CUDA comes after several signatures of C++, which are left out.
    """
    text = " ".join(str(error).split())
    if found := re.search(r"\b[A-Z_]+ failure \d+: [^;]*[^; ]", text):
        text = found.group()
    return text if len(text) <= 300 else f"{text[:300]}.."
