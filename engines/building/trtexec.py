"""`trtexec`, the command-line builder that comes with TensorRT and with every JetPack.

Flags and log lines are those of TensorRT 10.3; later versions kept them. The exit code alone
is not enough: a log without PASSED means failure too.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from uhd_edge.engines.building.builder import UINT8_READ_AS_INT8, WORKSPACE
from uhd_edge.engines.building.ended import describe_signal
from uhd_edge.engines.errors import EngineBuildError, EngineUnavailableError
from uhd_edge.engines.tensorrt.library import DLA_LIBRARY, INSTALL_DLA_COMPILER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from uhd_edge.engines.building.profiles import Profile

    PathText: TypeAlias = str | Path

# JetPack's and Debian's packages install it outside the PATH.
PACKAGED = "/usr/src/tensorrt/bin"


@dataclass(frozen=True)
class TrtexecReport:
    """What trtexec's log says about the machine; `tensorrt` has three numbers, such as "10.3.0"."""

    tensorrt: str
    gpu: str
    compute_capability: str


def find_trtexec() -> str | None:
    """Return the path of trtexec, from the PATH or from its package's folder, or None."""
    return shutil.which("trtexec") or shutil.which("trtexec", path=PACKAGED)


def build_arguments(
    graph: PathText, engine: PathText, profiles: Sequence[Profile], *, timing_cache: PathText
) -> list[str]:
    """Return the arguments that compile `graph` into the file `engine`, which then names its kernels."""
    return [
        f"--onnx={graph}",
        f"--saveEngine={engine}",
        "--stronglyTyped",
        "--skipInference",
        "--profilingVerbosity=detailed",
        workspace_argument(),
        f"--timingCacheFile={timing_cache}",
        *shape_arguments(profiles),
    ]


def workspace_argument() -> str:
    """Return the argument that bounds the scratch memory of kernels."""
    return f"--memPoolSize=workspace:{WORKSPACE // 2**20}M"


def shape_arguments(profiles: Sequence[Profile]) -> list[str]:
    """Return the arguments that give trtexec the profiles to build for."""
    arguments = []
    for number, profile in enumerate(profiles):
        if len(profiles) > 1:
            arguments.append(f"--profile={number}")
        for flag, shape in (("minShapes", "smallest"), ("optShapes", "usual"), ("maxShapes", "largest")):
            sizes = {name: "x".join(map(str, getattr(shapes, shape))) for name, shapes in profile.items()}
            arguments.append(f"--{flag}=" + ",".join(f"{name}:{size}" for name, size in sizes.items()))
    return arguments


def run_arguments(profile: Profile) -> str:
    """Return the argument that makes trtexec run an engine in its usual shape."""
    return "--shapes=" + ",".join(f"{name}:{'x'.join(map(str, shapes.usual))}" for name, shapes in profile.items())


def run_trtexec(program: str, arguments: Sequence[str], log: Path, graph: Path) -> TrtexecReport:
    """Run trtexec with its output in the file `log`, which is kept if it fails.

    Raises `EngineBuildError` with trtexec's first error and the path of the log, and
    `EngineUnavailableError` if trtexec cannot be started.
    """
    try:
        with log.open("wb") as output:
            code = subprocess.run(  # noqa: S603  # the arguments are ours
                [program, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
            ).returncode
    except OSError as error:
        raise EngineUnavailableError(f"{program}: cannot be started ({error.strerror}); install TensorRT") from error
    text = log.read_text(encoding="utf-8", errors="replace")
    if problem := _problem(code, text):
        raise EngineBuildError(f"{graph}: trtexec failed: {problem}; its log is {log}")
    report = read_report(text)
    log.unlink()
    return report


def blames_timing_cache(log: Path) -> bool:
    """Whether an error in the file `log` is about the timing cache, which makes trtexec build nothing."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return re.search(r"\[E\].*timing ?cache", text, re.IGNORECASE) is not None


def read_report(log: str) -> TrtexecReport:
    """Read TensorRT's version and the GPU from a log; raises `EngineBuildError` if they are missing."""
    version = re.search(r"TensorRT\.trtexec \[TensorRT v(\d+)\]", log)
    gpu = re.search(r"\[I\] Selected Device: (.+)", log)
    capability = re.search(r"\[I\] Compute Capability: (\d+\.\d+)", log)
    if version is None or gpu is None or capability is None:
        raise EngineBuildError(
            "trtexec's log does not name the TensorRT version and the GPU; is this TensorRT 10 or later?"
        )
    return TrtexecReport(unpacked_version(version[1]), gpu[1].strip(), capability[1])


def unpacked_version(packed: str) -> str:
    """Convert a version as trtexec writes it: 100300 -> "10.3.0"; before version 10, 8502 -> "8.5.2"."""
    number = int(packed)
    if number < 10_00_00:
        return f"{number // 1000}.{number // 100 % 10}.{number % 100}"
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def _problem(code: int, log: str) -> str | None:
    """Describe what went wrong, or return None if nothing did."""
    if UINT8_READ_AS_INT8 in log:
        return "the graph is quantized to uint8, which TensorRT reads as int8; use the int8 graphs made for TensorRT"
    if code == 0 and "&&&& PASSED TensorRT.trtexec" in log:
        return None
    if code < 0:
        return f"it {describe_signal(-code)}"
    if missing := re.search(r"error while loading shared libraries: (.+)", log):
        return f"it does not start: {INSTALL_DLA_COMPILER if DLA_LIBRARY in missing[1] else missing[1]}"
    errors = re.findall(r"\[E\] (.+)", log)
    first = next((line for line in errors if line.strip()), "no reason given")
    return f"exit code {code}, {first.strip()}" if code else first.strip()
