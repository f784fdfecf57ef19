"""The table at the end of `make test-gpu`: a row for each engine, precision and mode, to paste into an issue."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from uhd_edge.bench.configuration import Configuration, Picture, Settings
from uhd_edge.bench.machine import this_machine
from uhd_edge.bench.process import MeasuringProcess
from uhd_edge.bench.report import summarize
from uhd_edge.bench.worker import measure
from uhd_edge.engines.errors import EngineUnavailableError
from uhd_edge.engines.onnxruntime import CUDA, offered_providers
from uhd_edge.engines.selection import open_onnxruntime
from uhd_edge.engines.tensorrt.gpu import first_gpu
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.checking.verify import verify_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from uhd_edge.engines.names import EngineName
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode, Precision

HEADINGS = ("engine", "precision", "mode", "verified", "fused", "ms a view", "memory", "first token", "tokens/s")
ROUNDS = 3
TOKENS = 32


@dataclass(frozen=True)
class Row:
    """The cells of a row after engine, precision and mode."""

    verified: str
    fused: str = "-"
    view: str = "-"
    memory: str = "-"
    first_token: str = "-"
    tokens: str = "-"


def measure_row(bundle: Bundle, engine: EngineName, precision: Precision, mode: Mode, image: Path) -> Row:
    """Verify the engine, then let a process of its own answer a question about `image` a few times."""
    report = verify_bundle(bundle, engine=engine, precision=precision, images=[image], modes=[mode], question=None)
    (verified,) = report.verified
    worst = min((view.cosine for view in report.views), default=0.0)
    configuration = Configuration(Picture(0, 0, image.read_bytes()), mode, precision, engine)
    settings = Settings(rounds=ROUNDS, max_tokens=TOKENS)
    with _memory_taken() as taken, MeasuringProcess(bundle.path, configuration, settings) as process:
        samples = [process.measure(configuration) for _ in range(1 + ROUNDS)][1:]
        gpu = taken()
    measured = summarize(configuration, samples, samples[-1].peak_memory)
    view = verified.milliseconds or measured.stages["encoder_per_view"].median
    tokens = measured.tokens_per_second
    return Row(
        verified=f"{'yes' if report.passed else 'NO'}, {worst:.5f}",
        fused="-" if verified.fused_attention is None else str(verified.fused_attention).removesuffix(" fused"),
        view=f"{view:.3g}",
        memory=f"{gpu}{measured.peak_memory / 1e9:.2f} GB",
        first_token=f"{measured.stages['first_token'].median:.3g} ms",
        tokens="-" if tokens is None else f"{tokens.median:.3g}, {measured.language_model}",
    )


def measure_language_model(bundle: Bundle, image: Path, *, gpu_layers: int) -> Row:
    """Ask a few times with so many layers of the language model on a GPU, -1 for all."""
    configuration = Configuration(Picture(0, 0, image.read_bytes()), "16x", "fp32", "onnxruntime")
    settings = Settings(rounds=ROUNDS, max_tokens=TOKENS)
    with Assistant(
        bundle, engine="onnxruntime", precision="fp32", gpu_layers=gpu_layers, context=settings.context, cache_bytes=0
    ) as assistant:
        samples = [measure(assistant, configuration, settings) for _ in range(1 + ROUNDS)][1:]
    measured = summarize(configuration, samples, samples[-1].peak_memory)
    tokens = measured.tokens_per_second
    return Row(
        verified="-",
        first_token=f"{measured.stages['first_token'].median:.3g} ms",
        tokens="-" if tokens is None else f"{tokens.median:.3g}, {measured.language_model}",
    )


def why_no_cuda(bundle: Bundle) -> str:
    """Return why ONNX Runtime does not run on a GPU here, nothing where it does."""
    if CUDA not in offered_providers():
        return "onnxruntime-gpu is not installed (on a Jetson it comes from NVIDIA's index)"
    encoder, _ = bundle.graphs(bundle.manifest.default_mode, "fp32")
    told: list[str] = []
    with open_onnxruntime(encoder, tell=told.append) as engine:
        return "" if engine.provider == CUDA else " ".join(told)


@contextmanager
def _memory_taken() -> Iterator[Any]:
    """Yield a function that says how much of the GPU's memory was taken since."""
    try:
        driver = importlib.import_module("pycuda.driver")
        driver.init()
        context = driver.Device(0).retain_primary_context()
    except Exception:  # without pycuda or a GPU there is none to tell of
        yield lambda: ""
        return
    context.push()
    try:
        before, _ = driver.mem_get_info()
        yield lambda: f"{max(0, before - driver.mem_get_info()[0]) / 1e9:.2f} GB on the GPU, "
    finally:
        driver.Context.pop()


def table_lines(rows: Sequence[tuple[tuple[str, ...], Row | str]]) -> list[str]:
    """Format the rows, or why they were not run, as a table in Markdown, with the machine above it."""
    machine = this_machine()
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    cells = [
        (*names, *(astuple(row) if isinstance(row, Row) else (f"not run: {row}", *[""] * 5))) for names, row in rows
    ]
    return [
        f"{machine.line}, {_gpu()}; Python {machine.python}, {packages}",
        "",
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * len(HEADINGS)}",
        *(f"| {' | '.join(row)} |" for row in cells),
    ]


def _gpu() -> str:
    try:
        gpu = first_gpu()
    except EngineUnavailableError:
        return "no GPU"
    return f"{gpu.name} (compute capability {gpu.compute_capability})"
