"""llama.cpp's shared library: loaded once, started once, its log kept off the terminal.

llama.cpp reports why something failed only in its log, so the last lines are kept for our
error messages.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uhd_edge.engines.interrupts import held_interrupts, raise_interrupt_behind
from uhd_edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# ggml_log_level of llama.cpp: 3 is a warning, 4 an error, 5 goes on with the line before.
LOG_ERROR = 4
LOG_CONTINUED = 5

# ggml_backend_dev_type: a GPU with memory of its own, one that shares the processor's.
GPU, INTEGRATED_GPU = 1, 2

# Layers of the language model on a GPU: all of them.
ALL_LAYERS = -1

# Parts of a build of llama.cpp that are not there for a GPU of this machine.
NO_GPU_BACKENDS = frozenset({"CPU", "BLAS", "RPC"})


class _Log(threading.local):
    """The last lines that llama.cpp logged in each thread."""

    def __init__(self) -> None:
        self.lines: deque[tuple[int, str]] = deque(maxlen=100)


class LlamaLibrary:
    """The low-level functions of llama.cpp (`api`) and the last lines of its log.

    There is one per process, see `llama_library`; it lives as long as the process, because
    llama.cpp holds on to the log callback.
    """

    def __init__(self, api: Any) -> None:
        self.api = api
        self._log = _Log()
        self._callback = api.llama_log_callback(self._note)
        api.llama_log_set(self._callback, ctypes.c_void_p(0))
        with held_interrupts():
            api.llama_backend_init()

    def call(self, function: Callable[..., Any], *arguments: Any, undo: Callable[[Any], object] | None = None) -> Any:
        """Call a function of llama.cpp that may log, which means to call back into Python.

        A signal that arrives meanwhile takes effect afterwards. When it ends the program,
        `undo` frees what the function returned.
        """
        result = None
        try:
            with held_interrupts():
                result = function(*arguments)
        except BaseException:
            if undo is not None and result:
                undo(result)
            raise
        return result

    def forget_log(self) -> None:
        """Drop what this thread logged so far; call it before something whose failure is to be explained."""
        self._log.lines.clear()

    def reason(self) -> str:
        """Return the first error that llama.cpp logged here since `forget_log`, without its function names."""
        errors = [text for level, text in self._log.lines if level == LOG_ERROR and text.strip()]
        if not errors:
            return "llama.cpp gave no reason"
        _, _, message = errors[0].partition(": ")
        return " ".join((message or errors[0]).split())

    def _note(self, level: int, text: bytes, _user_data: object) -> None:
        line = text.decode("utf-8", errors="replace")
        lines = self._log.lines
        if level == LOG_CONTINUED and lines:
            level, start = lines.pop()
            line = start + line
        lines.append((level, line))


@dataclass(frozen=True)
class LlamaGpus:
    """What llama.cpp can put layers on: `found` names the GPUs, `built_for` what it was built for, such as CUDA."""

    found: tuple[str, ...]
    built_for: tuple[str, ...] = ()


def find_gpus(api: Any) -> LlamaGpus:
    """Ask llama.cpp for the GPUs that it would use; integrated ones only where there is no other, as it does."""
    if not api.llama_supports_gpu_offload():  # it also loads the backends that are libraries of their own
        return LlamaGpus((), _backends())
    try:
        ggml = _ggml()
        devices = [ggml.ggml_backend_dev_get(index) for index in range(ggml.ggml_backend_dev_count())]
        of_type = {
            kind: [one for one in devices if ggml.ggml_backend_dev_type(one) == kind] for kind in (GPU, INTEGRATED_GPU)
        }
        gpus = of_type[GPU] or of_type[INTEGRATED_GPU]
        return LlamaGpus(tuple(_text(ggml.ggml_backend_dev_description(gpu)) for gpu in gpus), _backends())
    except (ImportError, AttributeError, OSError):
        return LlamaGpus(("a GPU",))  # a build whose ggml cannot be asked


@dataclass(frozen=True)
class ChosenLayers:
    """How many layers go on a GPU (-1 is all of them), and the reason."""

    count: int
    reason: str


def choose_gpu_layers(gpus: LlamaGpus) -> ChosenLayers:
    """Choose what `auto` means: all layers where llama.cpp found a GPU, none otherwise."""
    if gpus.found:
        return ChosenLayers(ALL_LAYERS, f"llama.cpp found {', '.join(gpus.found)}")
    return ChosenLayers(0, why_no_gpu(gpus))


def describe_place(gpus: LlamaGpus, gpu_layers: int, layers: int) -> str:
    """Say where a model of `layers` layers runs: "CPU", or "RTX 4090 (CUDA), 25 of 25 layers".

    llama.cpp counts the output as one more layer, and puts layers on a GPU only where it finds one.
    """
    if gpu_layers == 0 or not gpus.found:
        return "CPU"
    every = layers + 1
    built_for = f" ({', '.join(gpus.built_for)})" if gpus.built_for else ""
    return (
        f"{', '.join(gpus.found)}{built_for}, {every if gpu_layers < 0 else min(gpu_layers, every)} of {every} layers"
    )


def why_no_gpu(gpus: LlamaGpus) -> str:
    """Say why there is no GPU to put layers on."""
    if gpus.built_for:
        return f"llama.cpp was built for {' and '.join(gpus.built_for)}, and finds no GPU that it can use"
    return "this llama-cpp-python was built without GPU support"


def _backends() -> tuple[str, ...]:
    try:
        ggml = _ggml()
        names = [
            _text(ggml.ggml_backend_reg_name(ggml.ggml_backend_reg_get(index)))
            for index in range(ggml.ggml_backend_reg_count())
        ]
    except (ImportError, AttributeError, OSError):
        return ()
    return tuple(name for name in names if name not in NO_GPU_BACKENDS)


def _ggml() -> Any:
    """Return ggml's functions, which llama_cpp loads with llama.cpp and does not wrap."""
    from llama_cpp._ggml import libggml

    for name, result, arguments in (
        ("dev_count", ctypes.c_size_t, []),
        ("dev_get", ctypes.c_void_p, [ctypes.c_size_t]),
        ("dev_type", ctypes.c_int, [ctypes.c_void_p]),
        ("dev_description", ctypes.c_char_p, [ctypes.c_void_p]),
        ("reg_count", ctypes.c_size_t, []),
        ("reg_get", ctypes.c_void_p, [ctypes.c_size_t]),
        ("reg_name", ctypes.c_char_p, [ctypes.c_void_p]),
    ):
        function = getattr(libggml, f"ggml_backend_{name}")
        function.restype, function.argtypes = result, arguments
    return libggml


def _text(raw: bytes | None) -> str:
    return (raw or b"?").decode("utf-8", errors="replace")


@functools.cache
def llama_library() -> LlamaLibrary:
    """Load llama.cpp, once per process; raises `ModelError` when it is missing or does not load."""
    try:
        with _threads_that_sleep_soon():
            from llama_cpp import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        raise_interrupt_behind(error)
        raise ModelError(
            f"llama.cpp cannot be loaded ({error}); install it again with `pip install llama-cpp-python`"
        ) from error
    return LlamaLibrary(llama_cpp)


@contextmanager
def _threads_that_sleep_soon() -> Iterator[None]:
    """Let OpenMP's threads spin for some ten microseconds where they wait for each other, and then sleep.

    Threads that sleep at once have to be woken hundreds of times a token, which costs a
    third of the speed. Threads that spin for long, which is OpenMP's own choice, hold on to
    the core that the thread they wait for should run on: with another busy process on the
    device, generation is several times slower. `benchmarks/decode.py` measures both.

    OpenMP reads this once, while the library loads; of what the user has set nothing is changed.
    """
    ours = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": str(_spins(platform.machine()))}
    if any(name in os.environ for name in ours):
        ours = {}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


def _spins(machine: str) -> int:
    """GCC's OpenMP counts spins, not time: one is a pause on x86, of 13 ns and more, elsewhere but a few cycles."""
    return 1000 if machine in {"x86_64", "AMD64", "i686"} else 10_000


def weights_may_be_repacked(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether llama.cpp may rearrange weights for this processor's matrix instructions.

    Not on an x86 processor with AMX: the rearranged kernels of a stock build crash there on
    the first prompt of a quantized model (gcc 12). Elsewhere rearranging is what makes
    quantized models fast, on Arm above all.
    """
    try:
        return "amx_tile" not in cpuinfo.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return True
