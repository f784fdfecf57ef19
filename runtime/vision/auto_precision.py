"""Whether `auto` takes a bundle's INT8 graphs on a CPU, and the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.engines.selection import cpu_precision, machine_precision
from uhd_edge.runtime.bundles.how_to_calibrate import can_calibrate, how_to_calibrate

if TYPE_CHECKING:
    from uhd_edge.engines.processor import Processor
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

OTHERWISE = "--precision fp32 computes exactly"


@dataclass(frozen=True)
class Int8Decision:
    """Whether `auto` takes INT8, and the reason. `on_openvino` says whether OpenVINO's graph is verified as well."""

    taken: bool
    reason: str
    on_openvino: bool = False


def decide_int8(bundle: Bundle, mode: Mode, processor: Processor) -> Int8Decision:
    """Decide whether `auto` takes the INT8 graphs of `mode` on `processor`.

    It does where no GPU can run the FP32 graphs, the processor gains by INT8, and the
    bundle's calibration verified INT8 on pictures that it had held out.
    """
    if "int8" not in bundle.manifest.graphs.get(mode, {}):
        here = cpu_precision(processor)
        reason = "the bundle holds no INT8 graphs"
        if here.precision == "int8" and can_calibrate(bundle.manifest, "int8"):
            reason += f"; `{how_to_calibrate(bundle.manifest, 'int8', bundle.path)}` makes them: {here.reason}"
        return Int8Decision(False, reason)
    from uhd_edge.runtime.bundles.int8_record import int8_verdict  # which bundles without INT8 do without

    verdict = int8_verdict(bundle, "int8")
    if not verdict.verified:
        return Int8Decision(False, verdict.reason)
    here = machine_precision(processor)
    if here.precision == "fp32":
        return Int8Decision(False, here.reason)
    on_openvino = int8_verdict(bundle, "int8-tensorrt").verified
    return Int8Decision(True, f"{verdict.reason}; {OTHERWISE}", on_openvino)
