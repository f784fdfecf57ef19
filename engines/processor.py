"""Processor features that decide how INT8 graphs are run.

On x86 without VNNI, two uint8 x int8 products are added in 16 bits: 2 x 255 x 127 = 64770
becomes 32767 ("saturation"), and embeddings are silently wrong. With VNNI or AMX, products
are added in 32 bits. ARM does not saturate either: with dot products (`asimddp`, `i8mm`) it
adds in 32 bits directly; without them it first adds pairs, which fit into 16 bits, since our
weights are never -128: 2 x 128 x 127 = 32512. Everything else in our CPU graphs, including
attention (fused or not), is FP32 and cannot saturate.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

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
    return Processor(platform.machine(), frozenset(_features(cpuinfo)))


def _features(cpuinfo: Path) -> list[str]:
    """Read the features of the first core only; reading all is slow on machines with hundreds of cores."""
    try:
        with cpuinfo.open(encoding="utf-8") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.strip() in ("flags", "Features"):  # on x86, on ARM
                    return value.split()
    except OSError:
        pass  # not Linux
    return []
