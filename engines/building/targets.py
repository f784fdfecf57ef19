"""The devices that engines are built for, their builders, and what they do not support."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from uhd_edge.engines.errors import EngineRefusedError, EngineUnavailableError
from uhd_edge.engines.tensorrt.gpu import first_gpu

if TYPE_CHECKING:
    from uhd_edge.engines.tensorrt.library import Backend


BuiltPrecision: TypeAlias = Literal["fp16", "int8", "fp8", "nvfp4"]
# The precisions of the graphs that engines are built from.
PRECISIONS: tuple[BuiltPrecision, ...] = get_args(BuiltPrecision)


@dataclass(frozen=True)
class JetPack:
    """One JetPack release for one board, with the versions from NVIDIA's release notes."""

    version: str
    tensorrt: str
    cuda: str
    python: str


@dataclass(frozen=True)
class Target:
    """A kind of device.

    `compute_capability` is None if only the device itself knows it. `jetpacks` are the
    releases that a kit can be made for, the default first. Without any, the engine is built
    on the machine where `uhd build` runs.
    """

    name: str
    device: str
    backend: Backend
    compute_capability: str | None
    jetpacks: tuple[JetPack, ...] = ()


_JETPACK_61 = JetPack("6.1", tensorrt="10.3", cuda="12.6", python="3.10")
_JETPACK_62 = JetPack("6.2", tensorrt="10.3", cuda="12.6", python="3.10")
_JETPACK_70 = JetPack("7.0", tensorrt="10.13", cuda="13.0", python="3.12")
_JETPACK_71 = JetPack("7.1", tensorrt="10.13", cuda="13.0", python="3.12")
_JETPACK_72 = JetPack("7.2", tensorrt="10.16", cuda="13.2", python="3.12")

TARGETS: tuple[Target, ...] = (
    Target("rtx-20", "GeForce RTX 20 and Quadro RTX (Turing)", "tensorrt-rtx", "7.5"),
    Target("rtx-30", "GeForce RTX 30 and RTX A (Ampere)", "tensorrt-rtx", "8.6"),
    Target("rtx-40", "GeForce RTX 40 and RTX Ada", "tensorrt-rtx", "8.9"),
    Target("rtx-50", "GeForce RTX 50 and RTX PRO (Blackwell)", "tensorrt-rtx", "12.0"),
    Target("orin", "Jetson Orin", "tensorrt", "8.7", (_JETPACK_62, _JETPACK_61, _JETPACK_72)),
    Target("thor", "Jetson Thor", "tensorrt", "11.0", (_JETPACK_71, _JETPACK_70, _JETPACK_72)),
    Target("here", "this device, with its own TensorRT", "tensorrt", None),
)

# JetPacks in use that do not work, with the reason.
_TOO_OLD = {
    "4": "its Python 3.6 and TensorRT 8.2 are too old, and no Orin or Thor runs it",
    "5": "its Python 3.8 is older than 3.10, and its TensorRT 8.5 has no strongly typed networks",
    "6.0": "its TensorRT 8.6 has no strongly typed networks; JetPack 6.2 runs on the same boards",
}

# The compute capabilities of the first GPUs that multiply such numbers: Ada, RTX 40, and Blackwell.
_FIRST_WITH: dict[str, tuple[int, ...]] = {"fp8": (8, 9), "nvfp4": (10, 0)}

# TensorRT-RTX's error for an FP32 product when it builds for Turing.
TURING_LACKS_FP32 = "FP32 GEMM is not supported"


def find_target(name: str) -> Target:
    """Return the target called `name`; raises `EngineRefusedError` with the valid names."""
    for target in TARGETS:
        if target.name == name:
            return target
    raise EngineRefusedError(f"unknown target {name!r}; use {', '.join(target.name for target in TARGETS)}")


def find_target_for_gpu(backend: Backend, compute_capability: str) -> str:
    """Return the name of the target to build for on a machine with such a GPU; `here` if no other fits."""
    for target in TARGETS:
        if backend == target.backend == "tensorrt-rtx" and target.compute_capability == compute_capability:
            return target.name
    return "here"


def for_this_gpu(target: Target) -> Target:
    """Return `target` with the compute capability of this machine's GPU if it has none of its own; as it is without."""
    if target.compute_capability is not None:
        return target
    try:
        return replace(target, compute_capability=first_gpu().compute_capability)
    except EngineUnavailableError:
        return target


def find_jetpack(target: Target, version: str | None) -> JetPack:
    """Return the JetPack to make a kit for; without `version`, the target's default.

    A patch release counts as its minor release (6.2.1 is 6.2). Raises `EngineRefusedError`
    with the reason if the target has no JetPack, or not that one.
    """
    if not target.jetpacks:
        raise EngineRefusedError(f"{target.name} is not a Jetson and has no JetPack; leave --jetpack out")
    if version is None:
        return target.jetpacks[0]
    release = ".".join(version.split(".")[:2])
    for jetpack in target.jetpacks:
        if jetpack.version == release:
            return jetpack
    have = ", ".join(sorted(jetpack.version for jetpack in target.jetpacks))
    reason = _TOO_OLD.get(release) or _TOO_OLD.get(version.split(".")[0]) or _other_boards(release)
    raise EngineRefusedError(f"JetPack {version} cannot be used for {target.name}: {reason}; use {have}")


def check_precision(target: Target, precision: str) -> BuiltPrecision:
    """Return `precision`; raises `EngineRefusedError` with the reason if `target` does not support it."""
    for known in buildable_precisions(target):
        if precision == known:
            return known
    raise EngineRefusedError(f"{target.name} cannot be built in {precision}: {_why_not(target, precision)}")


def buildable_precisions(target: Target) -> tuple[BuiltPrecision, ...]:
    """Return the precisions that `target`'s GPU computes in; of `here` that is known after `for_this_gpu` alone."""
    capability = target.compute_capability
    return tuple(
        precision
        for precision in PRECISIONS
        if capability is None or _ordered(capability) >= _FIRST_WITH.get(precision, (0,))
    )


def _why_not(target: Target, precision: str) -> str:
    advice = f"use {' or '.join(buildable_precisions(target))}"
    capability = target.compute_capability
    if precision in _FIRST_WITH:
        return f"its GPU (compute capability {capability}) has no {precision.upper()} units; {advice}"
    if precision == "fp32" and capability == "7.5":
        return f"TensorRT-RTX has no FP32 products for compute capability 7.5; {advice}"
    if precision == "fp32":
        return f"FP32 graphs are the reference and run on onnxruntime; {advice}"
    return f"a bundle has no such graphs; {advice}"


def why_unbuildable(target: Target, log: str) -> str | None:
    """Explain a failed build if its `log` shows that the target is the cause, otherwise return None."""
    if target.compute_capability == "7.5" and TURING_LACKS_FP32 in log:
        return (
            "the graph multiplies in FP32, which TensorRT-RTX cannot build for compute capability 7.5; "
            "build from FP16 graphs, or from INT8 graphs on an FP16 base"
        )
    return None


def _other_boards(release: str) -> str:
    names = [target.name for target in TARGETS for jetpack in target.jetpacks if jetpack.version == release]
    return f"that JetPack is for {', '.join(names)}" if names else "it is not in the table of targets"


def _ordered(capability: str) -> tuple[int, ...]:
    return tuple(int(part) for part in capability.split("."))
