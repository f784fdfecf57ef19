"""What may run the graphs of a bundle: engine and precision, the best first."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from uhd_edge.engines.processor import Processor, this_processor
from uhd_edge.engines.selection import int8_engine, openvino_is_installed
from uhd_edge.engines.tensorrt.library import NAMES, Backend
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import GraphKind
from uhd_edge.runtime.errors import EngineUnavailableError
from uhd_edge.runtime.modes import Mode, Precision
from uhd_edge.runtime.vision.auto_precision import decide_int8
from uhd_edge.runtime.vision.patches import UNCOMPRESSED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.engines.names import EngineName

PrecisionChoice: TypeAlias = Precision | Literal["auto"]

# Of those that need no calibration; on a CPU the exact one is no slower than FP16. On a GPU, FP32 is too slow.
_ON_ONNXRUNTIME: tuple[Precision, ...] = ("fp32", "fp16", "int8", "fp8")
# NVFP4 is not exact enough to be taken unasked.
_ON_TENSORRT: tuple[Precision, ...] = ("fp16", "int8", "fp8")
# Half precision is BF16 on x86 that has it: three times as fast as FP32 and closer to it than INT8.
_ON_OPENVINO: tuple[Precision, ...] = ("fp16", "int8", "fp32")
# On x86 it makes FP32 of an FP16 graph first, which takes twice the memory; on ARM it computes in FP16,
# for which the FP16 graph was kept within range. Of INT8 the symmetric graph is a little faster.
_KINDS_ON_X86: dict[Precision, tuple[GraphKind, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp32", "fp16"),
    "int8": ("int8-tensorrt", "int8"),
}
_KINDS_ON_ARM: dict[Precision, tuple[GraphKind, ...]] = {**_KINDS_ON_X86, "fp16": ("fp16", "fp32")}

BACKENDS: tuple[Backend, ...] = ("tensorrt", "tensorrt-rtx")


@dataclass(frozen=True)
class Choice:
    """An engine, and the kinds of graph it runs: `kind` for the encoder, and for the connector without another.

    `reason` is why `auto` takes this precision, where the bundle holds another one; else empty.
    """

    engine: Literal["onnxruntime", "openvino"] | Backend
    precision: Precision
    kind: GraphKind
    connector_kind: GraphKind | None = None
    reason: str = ""

    def graphs(self, bundle: Bundle, mode: Mode) -> tuple[Path, Path]:
        """Encoder and connector of `mode` in `bundle`."""
        encoder, connector = bundle.graphs(mode, self.kind)
        return encoder, connector if self.connector_kind is None else bundle.graphs(mode, self.connector_kind)[1]


def choices(
    bundle: Bundle,
    mode: Mode,
    *,
    engine: EngineName,
    precision: PrecisionChoice,
    built: Sequence[EngineRecord],
    processor: Processor | None = None,
) -> list[Choice]:
    """List what may run `mode`, the best first and at least one; whether it works shows when it is opened.

    The engine `auto` means the TensorRT engines among `built` that belong to the bundle's
    graphs, in FP16 before INT8 and FP8, and ONNX Runtime after them; INT8 runs on OpenVINO before that
    if `int8_engine` prefers it on `processor`, this machine's without one. The precision `auto`
    on ONNX Runtime means INT8 where `decide_int8` takes it, and after it the most exact one.
    FP16 and FP8 graphs are run as they are: on a CPU they are there to show what a GPU will compute.
    Raises `EngineUnavailableError` naming what the bundle does have.
    """
    here = this_processor() if processor is None else processor
    if engine == "onnxruntime":
        return _on_cpu(bundle, mode, precision, here, openvino=False)
    if engine == "openvino":
        return [_on_openvino(bundle, mode, precision, here)]
    if engine != "auto":
        if found := _on_tensorrt(bundle, mode, engine, precision, built):
            return found
        raise _not_built(bundle, mode, engine, precision)
    found = [choice for backend in BACKENDS for choice in _on_tensorrt(bundle, mode, backend, precision, built)]
    openvino = int8_engine(here, openvino=openvino_is_installed()).engine == "openvino"
    try:
        return [*found, *_on_cpu(bundle, mode, precision, here, openvino=openvino)]
    except EngineUnavailableError:
        if not found:
            raise
        return found


def choose_precision(bundle: Bundle, mode: Mode, precision: PrecisionChoice) -> Precision:
    """Resolve "auto" to the most exact precision that the bundle has for `mode` on ONNX Runtime.

    Raises `EngineUnavailableError` naming what the bundle does have.
    """
    available = bundle.manifest.graphs.get(mode)
    if not available:
        raise EngineUnavailableError(f"{bundle.path}: no {mode} graphs; the bundle has {bundle.describe_graphs()}")
    if precision == "auto":
        return next(exact for exact in _ON_ONNXRUNTIME if exact in available)
    bundle.graphs(mode, precision)
    if precision == "nvfp4":
        raise EngineUnavailableError(
            f"{bundle.path}: NVFP4 graphs run on TensorRT alone; build engines with `uhd build "
            f"{shlex.quote(str(bundle.path))} --target rtx-50 --precision nvfp4`, or use another precision"
        )
    return precision


def select_records(
    bundle: Bundle, mode: Mode, choice: Choice, built: Sequence[EngineRecord]
) -> list[list[EngineRecord]]:
    """Engines for `mode` that were built from the encoder and from the connector that `choice` means."""
    graphs = bundle.manifest.graphs[mode][choice.kind]
    return [
        _serving(mode, [record for record in built if record.backend == choice.engine and record.graph == graph])
        for graph in (graphs.encoder, graphs.connector)
    ]


def _serving(mode: Mode, records: list[EngineRecord]) -> list[EngineRecord]:
    """Leave out engines for the other mode, and those for both modes where there is one for this mode alone.

    That one is newer: an engine for both modes replaces those for one when it is built.
    """
    serving = [record for record in records if mode in _modes(record)]
    for_one = {record.target for record in serving if len(_modes(record)) == 1}
    return [record for record in serving if len(_modes(record)) == 1 or record.target not in for_one]


def _modes(record: EngineRecord) -> set[Mode]:
    """The modes that an engine was built for, which its profiles show; all but a shared encoder have both."""
    ranges = [profile[UNCOMPRESSED] for profile in record.profiles if UNCOMPRESSED in profile]
    return {"4x" if span.largest[1] else "16x" for span in ranges} or {"16x", "4x"}


def _on_cpu(
    bundle: Bundle, mode: Mode, precision: PrecisionChoice, processor: Processor, *, openvino: bool
) -> list[Choice]:
    """List what runs without TensorRT engines; `openvino` puts that before ONNX Runtime for INT8."""
    chosen = choose_precision(bundle, mode, precision)
    last = Choice("onnxruntime", chosen, chosen)
    if precision == "int8":
        return [_on_openvino(bundle, mode, "int8", processor), last] if openvino else [last]
    if precision != "auto" or chosen == "int8":
        return [last]
    decision = decide_int8(bundle, mode, processor)
    last = replace(last, reason=decision.reason)
    if not decision.taken:
        return [last]
    found = [Choice("onnxruntime", "int8", "int8", reason=decision.reason), replace(last, reason="")]
    if openvino and decision.on_openvino:
        found.insert(0, replace(_on_openvino(bundle, mode, "int8", processor), reason=decision.reason))
    return found


def _on_openvino(bundle: Bundle, mode: Mode, precision: PrecisionChoice, processor: Processor) -> Choice:
    graphs = bundle.manifest.graphs.get(mode, {})
    kinds = _KINDS_ON_X86 if processor.is_x86 else _KINDS_ON_ARM
    if precision in ("fp8", "nvfp4"):
        raise EngineUnavailableError(
            f"{bundle.path}: {precision.upper()} graphs are for TensorRT; OpenVINO runs the others"
        )
    for wanted in _ON_OPENVINO if precision == "auto" else (precision,):
        for kind in kinds[wanted]:
            if kind in graphs:
                # The connector is not INT8, and that of the symmetric graph is FP16: 0.1 GB more as FP32.
                return Choice("openvino", wanted, kind, "int8" if wanted == "int8" and "int8" in graphs else None)
    chosen = choose_precision(bundle, mode, precision)  # raises, for ONNX Runtime would run what OpenVINO does
    return Choice("openvino", chosen, chosen)


def _on_tensorrt(
    bundle: Bundle, mode: Mode, backend: Backend, precision: PrecisionChoice, built: Sequence[EngineRecord]
) -> list[Choice]:
    """Only what has both engines: half a tower is none."""
    wanted = _ON_TENSORRT if precision == "auto" else (precision,)
    kinds: dict[Precision, GraphKind] = {"int8": "int8-tensorrt"}
    possible = [Choice(backend, one, kinds.get(one, one)) for one in wanted]
    graphs = bundle.manifest.graphs.get(mode, {})
    return [choice for choice in possible if choice.kind in graphs and all(select_records(bundle, mode, choice, built))]


def _not_built(bundle: Bundle, mode: Mode, backend: Backend, precision: PrecisionChoice) -> EngineUnavailableError:
    if mode not in bundle.manifest.graphs:
        return EngineUnavailableError(f"{bundle.path}: no {mode} graphs; the bundle has {bundle.describe_graphs()}")
    target = "here" if backend == "tensorrt" else "rtx-40"
    chosen = "fp16" if precision == "auto" else precision
    wanted = "" if precision == "auto" else f" in {precision}"
    return EngineUnavailableError(
        f"{bundle.path}: the bundle has no {NAMES[backend]} engines for {mode}{wanted}; build them with `uhd build "
        f"{shlex.quote(str(bundle.path))} --target {target} --precision {chosen}`, or use auto or onnxruntime"
    )
