"""What this machine's processor can compute with, as far as it decides how a graph is run.

INT8 products and their sums. On x86 without VNNI two products, each of a uint8 and an int8
number, are added in 16 bits: 2 x 255 x 127 = 64770 becomes 32767 ("saturation"), and embeddings
are silently wrong. With VNNI, and with AMX, products are added in 32 bits. So they are on ARM:
with dot products (`asimddp`, `i8mm`) at once, and without them after pairs that 16 bits hold,
2 x 128 x 127 = 32512, since our weights are never -128. What is not INT8 (attention among it,
fused or not) is FP32 in our graphs for the CPU and has nothing to saturate.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

X86 = frozenset({"x86_64", "amd64", "i386", "i686", "x86"})

# The names of Linux. AMX comes with AVX-512 and its VNNI.
_VNNI = frozenset({"avx512_vnni", "avx_vnni"})


@dataclass(frozen=True)
class Processor:
    """A processor by its architecture, as `platform.machine` names it, and its features, as Linux does.

    `features` is empty where they are not known, as on systems other than Linux.
    """

    architecture: str
    features: frozenset[str] = frozenset()

    @property
    def is_x86(self) -> bool:
        """Whether it is an Intel or AMD processor."""
        return self.architecture.lower() in X86

    @property
    def has_vnni(self) -> bool:
        """Whether x86 adds up INT8 products in 32 bits, with four of them in one instruction."""
        return self.is_x86 and not _VNNI.isdisjoint(self.features)

    @property
    def int8_saturates(self) -> bool:
        """Whether the usual uint8 x int8 products overflow; taken for granted of an x86 that is not known."""
        return self.is_x86 and not self.has_vnni


def this_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """Look at the processor this runs on; `cpuinfo` is where the kernel describes it."""
    return Processor(platform.machine(), frozenset(_features(cpuinfo)))


def _features(cpuinfo: Path) -> list[str]:
    """The features of the first core. Reading on would take long on a machine with hundreds of them."""
    try:
        with cpuinfo.open(encoding="utf-8") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.strip() in ("flags", "Features"):  # on x86, on ARM
                    return value.split()
    except OSError:
        pass  # no Linux
    return []
