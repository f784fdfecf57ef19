"""What a processor is known to compute with, by the descriptions that kernels give of real ones."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from uhd_edge.engines.processor import Processor, processor_name, this_processor

# The beginnings of /proc/cpuinfo on real machines, most features left out.
ZEN_3 = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu sse2 avx avx2 vaes\nbugs\t\t:\nprocessor\t: 1\n"
SAPPHIRE_RAPIDS = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni amx_int8 avx_vnni\n"
ALDER_LAKE = "processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\n"
SKYLAKE_SERVER = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512bw avx512vl\n"
RASPBERRY_PI_4 = (
    "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n"
    "CPU part\t: 0xd08\n\nprocessor\t: 1\nCPU part\t: 0xd08\n\nModel\t\t: Raspberry Pi 4 Model B Rev 1.1\n"
)
ORIN = (
    "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\nFeatures\t: fp asimd asimdhp asimddp uscat\n"
    "CPU implementer\t: 0x41\nCPU part\t: 0xd42\n\nprocessor\t: 1\n"
)
GRAVITON_3 = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\nCPU revision\t: 1\n"


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


@pytest.mark.parametrize(
    ("description", "board", "name"),
    [
        (ZEN_3, None, "AMD EPYC"),
        (ORIN, b"NVIDIA Jetson Orin Nano Developer Kit\0", "NVIDIA Jetson Orin Nano Developer Kit"),
        (ORIN, None, "ARM processor 0x41 0xd42"),  # in a container
        (RASPBERRY_PI_4, None, "Raspberry Pi 4 Model B Rev 1.1"),
        (GRAVITON_3, None, "ARM processor 0x41 0xd40"),
        ("processor\t: 0\nmodel name\t: AMD  EPYC-Milan \n", None, "AMD EPYC-Milan"),
        ("", b"", "what Python says"),
    ],
)
def test_a_processor_is_named_so_that_machines_can_be_told_apart(
    description: str, board: bytes | None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "what Python says")
    (tmp_path / "cpuinfo").write_text(description)
    if board is not None:
        (tmp_path / "model").write_bytes(board)
    assert processor_name(tmp_path / "cpuinfo", tmp_path / "model") == name


def test_a_processor_has_a_name_on_every_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert processor_name(tmp_path / "none", tmp_path / "none") == "arm64"
