"""What a processor is known to compute with, by the descriptions that kernels give of real ones."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from uhd_edge.engines.processor import Processor, this_processor

# The beginnings of /proc/cpuinfo on real machines, most features left out.
ZEN_3 = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu sse2 avx avx2 vaes\nbugs\t\t:\nprocessor\t: 1\n"
SAPPHIRE_RAPIDS = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni amx_int8 avx_vnni\n"
ALDER_LAKE = "processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\n"
SKYLAKE_SERVER = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512bw avx512vl\n"
RASPBERRY_PI_4 = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
ORIN = "processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp uscat\n"


@pytest.mark.parametrize(
    ("architecture", "description", "saturates"),
    [
        ("x86_64", ZEN_3, True),
        ("x86_64", SKYLAKE_SERVER, True),
        ("x86_64", SAPPHIRE_RAPIDS, False),
        ("x86_64", ALDER_LAKE, False),
        ("aarch64", RASPBERRY_PI_4, False),
        ("aarch64", ORIN, False),
    ],
)
def test_int8_saturates_on_x86_without_vnni_alone(
    architecture: str, description: str, saturates: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(description)
    monkeypatch.setattr(platform, "machine", lambda: architecture)
    assert this_processor(file).int8_saturates is saturates


def test_the_features_are_those_that_the_kernel_names(tmp_path: Path) -> None:
    arm = {"fp", "asimd", "asimdhp", "asimddp", "uscat"}
    for description, features in ((ALDER_LAKE, {"fpu", "avx2", "avx_vnni"}), (ORIN, arm)):
        (tmp_path / "cpuinfo").write_text(description)
        assert this_processor(tmp_path / "cpuinfo").features == features


def test_an_x86_that_nothing_is_known_of_is_taken_for_one_that_saturates(tmp_path: Path) -> None:
    for machine in ("x86_64", "AMD64"):  # as Linux and Windows name it
        assert Processor(machine).int8_saturates
    assert this_processor(tmp_path / "none").features == frozenset()
    (tmp_path / "cpuinfo").write_text("")
    assert this_processor(tmp_path / "cpuinfo").features == frozenset()


@pytest.mark.parametrize("machine", ["arm64", "aarch64", "riscv64"])
def test_another_architecture_needs_no_vnni(machine: str) -> None:
    assert not Processor(machine).has_vnni
    assert not Processor(machine).int8_saturates
