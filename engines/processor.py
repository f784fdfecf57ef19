"""The processor's name, and the features that decide how INT8 graphs are run.

On x86 without VNNI, two uint8 x int8 products are added in 16 bits: 2 x 255 x 127 = 64770
becomes 32767 ("saturation"), and embeddings are silently wrong. Calibration limits weights in pairs,
so that it cannot happen, and notes that in the graph (`FITTING_SUMS`). Graphs without the note, of
bundles that were calibrated earlier, need another way there. With VNNI or AMX, products are added
in 32 bits. ARM does not saturate either: with dot products (`asimddp`, `i8mm`) it adds in 32 bits
directly; without them it first adds pairs, which fit into 16 bits, since our weights are never
-128: 2 x 128 x 127 = 32512. Everything else in our CPU graphs, including attention (fused or not),
is FP32 and cannot saturate.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

# In the metadata of an INT8 graph whose products fit into 16 bits, two by two.
FITTING_SUMS = "uhd_edge.int8_sums_fit_16_bits"

X86 = frozenset({"x86_64", "amd64", "i386", "i686", "x86"})

# As Linux names them. Every processor with AMX also has AVX-512 VNNI.
_VNNI = frozenset({"avx512_vnni", "avx_vnni"})


@dataclass(frozen=True)
class Processor:
    """A processor: its architecture as `platform.machine` names it, its features as Linux names them.

    `features` is empty if unknown, for example on systems other than Linux.
    """

    architecture: str
    features: frozenset[str] = frozenset()

    @property
    def is_x86(self) -> bool:
        """Whether it is an Intel or AMD processor."""
        return self.architecture.lower() in X86

    @property
    def has_vnni(self) -> bool:
        """Whether it is x86 and adds four INT8 products in 32 bits in one instruction."""
        return self.is_x86 and not _VNNI.isdisjoint(self.features)

    @property
    def int8_saturates(self) -> bool:
        """Whether the usual uint8 x int8 products overflow; assumed for x86 with unknown features."""
        return self.is_x86 and not self.has_vnni


def this_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """Describe this machine's processor; `cpuinfo` is the kernel's description of it."""
    first = _first_values(cpuinfo)
    features = first.get("flags") or first.get("Features") or ""  # on x86, on ARM
    return Processor(platform.machine(), frozenset(features.split()))


def int8_overflows(graph: Path, processor: Processor) -> bool:
    """Whether the usual INT8 products of the ONNX file `graph` may overflow on `processor`."""
    if not processor.int8_saturates:
        return False
    content = graph.read_bytes()
    return b"QuantizeLinear" in content and FITTING_SUMS.encode() not in content


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo"), board: Path = Path("/proc/device-tree/model")) -> str:
    """Name the processor for people, and to tell machines apart; on ARM boards, name the board.

    Linux on ARM names a processor "ARMv8 Processor rev 1 (v8l)", whichever it is, or not at
    all. Boards name themselves in `board`, which containers hide. Without that, the numbers
    of the processor's maker and type serve.
    """
    first = _first_values(cpuinfo)
    numbers = [first[key] for key in ("CPU implementer", "CPU part") if key in first]
    names = (
        _board(board),
        first.get("Model", ""),  # a Raspberry Pi
        f"ARM processor {' '.join(numbers)}" if numbers else "",
        first.get("model name", ""),
        platform.processor(),
    )
    return next((" ".join(name.split()) for name in names if name.strip()), platform.machine())


def _board(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""


def _first_values(cpuinfo: Path) -> dict[str, str]:
    """What the kernel says of the first core and, on ARM, of the board; empty on systems other than Linux."""
    first: dict[str, str] = {}
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.strip() == "processor" and "flags" in first:
                    break  # x86 says nothing new of further cores, and with hundreds of them it is slow
                first.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    return first
