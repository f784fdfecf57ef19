"""What this machine can run and what is missing, found out without running a model."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from uhd_edge.engines.building.trtexec import find_trtexec
from uhd_edge.engines.extras import LLAMA_CPP, PACKAGES, PYCUDA
from uhd_edge.engines.processor import this_processor
from uhd_edge.engines.selection import int8_engine, machine_precision, openvino_is_installed
from uhd_edge.engines.tensorrt.cuda_toolkit import CUDA_PROGRAMS, install_llama_with_cuda
from uhd_edge.engines.tensorrt.gpu import first_gpu
from uhd_edge.engines.tensorrt.jetson import find_jetson
from uhd_edge.engines.tensorrt.library import DLA_COMPILER, MODULES, NAMES, import_tensorrt
from uhd_edge.engines.threads import usable_cores
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import EngineUnavailableError, UhdError
from uhd_edge.runtime.llm.llama_library import choose_gpu_layers, find_gpus, llama_library
from uhd_edge.runtime.release import version_of

State = Literal["ok", "absent", "broken"]

# What `pip install "uhd-edge[...]"` brings, by the distributions that must be there.
EXTRAS = {
    **{extra: tuple(packages.values()) for extra, packages in PACKAGES.items()},
    "gpu": ("onnxruntime-gpu", "pycuda", "tensorrt"),
    "rtx": ("tensorrt-rtx",),
}
# PyPI's onnxruntime-gpu and tensorrt are not for a Jetson's GPU; NVIDIA has an onnxruntime-gpu of its own for it.
NEEDED_ON_A_JETSON = {"gpu": ("pycuda", "tensorrt"), "rtx": EXTRAS["rtx"]}
ON_A_JETSON = {
    "gpu": "not from PyPI on a Jetson: apt install tensorrt python3-libnvinfer python3-dev, with JetPack 6 "
    f'{DLA_COMPILER} too, then pip install "{PYCUDA}" with {CUDA_PROGRAMS} on the PATH',
    "rtx": "TensorRT-RTX is for RTX cards; a Jetson has TensorRT",
}
# ONNX Runtime's two packages share one folder, and the last installed wins.
FOR_THE_GPU = "for the GPU: pip uninstall onnxruntime, then pip install --force-reinstall onnxruntime-gpu"
FOR_A_JETSON = (
    "on a Jetson TensorRT runs the engines, and nothing needs the second: pip uninstall onnxruntime-gpu, then "
    "pip install --no-deps --force-reinstall onnxruntime; that of PyPI is not for its GPU, NVIDIA has one of its own"
)
DRIVER = Path("/proc/driver/nvidia/version")
INSTRUCTION_SETS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm"),
)


@dataclass(frozen=True)
class Finding:
    """One part of the machine: `needed` parts must be ok for `uhd ask` to work."""

    part: str
    state: State
    detail: str
    needed: bool = False


def examine(memory: str) -> list[Finding]:
    """Everything worth knowing about this machine, in the order of a table; `memory` says how much it has."""
    return list(_findings(memory))


def _findings(memory: str) -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("processor", "ok", _processor())
    yield Finding("memory", "ok", memory)
    yield _tried("onnxruntime", _onnxruntime, 'pip install "onnxruntime"')
    yield _tried("--precision", _precision, 'pip install "onnxruntime"')
    yield Finding("INT8 on the CPU", "ok", _int8())
    yield _tried("llama.cpp", _llama, f'pip install "{LLAMA_CPP}"')
    yield _tried("--gpu-layers", _gpu_layers, f'pip install "{LLAMA_CPP}"')
    yield _tried("built-in model", _builtin_bundle, "install uhd-edge again")
    yield _gpu()
    for extra, distributions in EXTRAS.items():
        yield _extra(extra, distributions)
    yield from _tensorrt()
    yield _trtexec()


def _tried(part: str, look: Callable[[], str], remedy: str) -> Finding:
    """A required part; an error while it is imported is reported, not raised."""
    try:
        return Finding(part, "ok", look(), needed=True)
    except ImportError as error:
        return Finding(part, "absent", f"{error}; {remedy}", needed=True)
    except (UhdError, OSError, RuntimeError) as error:
        return Finding(part, "broken", str(error), needed=True)


def _processor() -> str:
    cores = f"{usable_cores()} usable of {os.cpu_count()} cores"
    features = this_processor().features
    return ", ".join([cores, *(name for name in INSTRUCTION_SETS if name in features)])


def _onnxruntime() -> str:
    from uhd_edge.engines.onnxruntime import refuse_telemetry

    refuse_telemetry()
    import onnxruntime

    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    if version_of("onnxruntime") and version_of("onnxruntime-gpu"):
        remedy = FOR_A_JETSON if find_jetson() else FOR_THE_GPU
        providers += f"; onnxruntime and onnxruntime-gpu share one folder and the last installed wins; {remedy}"
    return f"{onnxruntime.__version__}, built with {providers}"


def _precision() -> str:
    here = machine_precision(this_processor())
    rule = "INT8 if the bundle's calibration verified it, else FP32" if here.precision == "int8" else "FP32"
    return (
        "auto takes a bundle's TensorRT engines, the fastest of FP16, INT8 and FP8 that agree with FP32 (compared and "
        f"timed at the first start on a GPU), else {rule}: {here.reason}"
    )


def _int8() -> str:
    chosen = int8_engine(this_processor(), openvino=openvino_is_installed())
    return f"auto takes {chosen.engine}: {chosen.reason}"


def _llama() -> str:
    import llama_cpp

    return f"llama-cpp-python {llama_cpp.__version__}"


def _gpu_layers() -> str:
    gpus = find_gpus(llama_library().api)
    chosen = choose_gpu_layers(gpus)
    remedy = "" if gpus.found or gpus.built_for else _remedy_for_llama()
    return f"auto puts {'all' if chosen.count else 'no'} layers on a GPU: {chosen.reason}{remedy}"


def _remedy_for_llama() -> str:
    """Say how llama.cpp is built for the NVIDIA GPU of this machine, if there is one."""
    try:
        gpu = first_gpu()
    except EngineUnavailableError:
        return ""
    return f", and the language model does not run on {gpu.name}; {install_llama_with_cuda()}"


def _builtin_bundle() -> str:
    manifest = Bundle.open().manifest
    size = sum(record.bytes for record in manifest.files.values())
    return f"{manifest.name}, {size / 1e6:.1f} MB"


def _gpu() -> Finding:
    if model := find_jetson():
        return Finding("gpu", "ok", model)
    driver = _driver()
    try:
        gpu = first_gpu()
    except EngineUnavailableError as error:
        reason = str(error).partition(";")[0]
        known = f"the kernel has NVIDIA's driver{driver}, but {reason}" if driver else "no NVIDIA driver"
        return Finding("gpu", "absent", f"{known}; vision runs on the CPU")
    return Finding(
        "gpu", "ok", f"{gpu.name}, compute capability {gpu.compute_capability}{driver and f', driver{driver}'}"
    )


def _driver() -> str:
    """Return the version of NVIDIA's driver behind a space, if Linux has loaded one; nothing otherwise."""
    try:
        text = DRIVER.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"\d+\.\d+(\.\d+)?", text)
    return f" {found.group()}" if found else " of an unknown version"


def _extra(extra: str, distributions: tuple[str, ...]) -> Finding:
    if on_a_jetson := extra in ON_A_JETSON and find_jetson() is not None:
        distributions = NEEDED_ON_A_JETSON[extra]
    versions = {name: version_of(name) for name in distributions}
    missing = [name for name, version in versions.items() if version is None]
    if missing and on_a_jetson:
        return Finding(f"extra {extra}", "absent", f"without {', '.join(missing)}; {ON_A_JETSON[extra]}")
    if missing:
        return Finding(f"extra {extra}", "absent", f'without {", ".join(missing)}; pip install "uhd-edge[{extra}]"')
    return Finding(f"extra {extra}", "ok", ", ".join(f"{name} {version}" for name, version in versions.items()))


def _tensorrt() -> Iterator[Finding]:
    """Whether what is installed loads, with the version that it tells."""
    for backend, module in MODULES.items():
        if importlib.util.find_spec(module) is None:
            continue  # the extras say what is not installed
        try:
            yield Finding(NAMES[backend], "ok", str(import_tensorrt(backend).__version__))
        except UhdError as error:
            yield Finding(NAMES[backend], "broken", str(error))


def _trtexec() -> Finding:
    found = find_trtexec()
    return Finding("trtexec", "ok", found) if found else Finding("trtexec", "absent", "comes with TensorRT or JetPack")
