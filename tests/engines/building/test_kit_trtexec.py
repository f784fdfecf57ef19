"""Where the script of a kit finds TensorRT, and what it does without trtexec."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.kits import ENGINES, STAND_IN, build, install, install_uhd


def test_trtexec_is_found_where_jetpacks_package_puts_it(kit: Path, device: Path, tmp_path: Path) -> None:
    install_uhd(device)
    hidden = tmp_path / "tensorrt" / "bin" / "trtexec"
    hidden.parent.mkdir(parents=True)
    (device / "trtexec").rename(hidden)
    install(device / "dpkg", f"[ \"$1 $2\" = '-L libnvinfer-bin' ] && printf '%s\\n' /. '{hidden}'")
    done = build(kit, device)
    assert (done.returncode, done.stderr) == (0, "")


def test_trtexec_is_found_without_dpkg_in_tensorrts_folder(kit: Path, device: Path, tmp_path: Path) -> None:
    install_uhd(device)
    hidden = tmp_path / "tensorrt" / "bin" / "trtexec"
    hidden.parent.mkdir(parents=True)
    (device / "trtexec").rename(hidden)
    done = build(kit, device, more={"TENSORRT_ROOT": str(tmp_path / "tensorrt")})
    assert (done.returncode, done.stderr) == (0, "")
    assert "/usr/src/tensorrt" in (kit / "build.sh").read_text()


def test_each_build_bounds_the_scratch_memory_and_asks_for_the_names_of_kernels(kit: Path, device: Path) -> None:
    """Unbounded, kernels may ask for all of the board's memory; without names, no fused attention is counted."""
    install_uhd(device)
    asked = device / "asked.txt"
    install(device / "trtexec", f"echo \"$*\" >>'{asked}'\nexec '{sys.executable}' '{STAND_IN}' \"$@\"")
    assert build(kit, device).returncode == 0
    builds = [line.split() for line in asked.read_text().splitlines() if "--onnx=" in line]
    assert len(builds) == len(ENGINES)
    for arguments in builds:
        assert {"--memPoolSize=workspace:1024M", "--profilingVerbosity=detailed"} <= set(arguments)


@pytest.mark.parametrize("named", ["{device}/mine", ".{device}/mine", "mine"])
def test_another_trtexec_can_be_named(kit: Path, device: Path, named: str) -> None:
    """By its whole path, from where the script is called, which is / here, or as it is found on the PATH."""
    install_uhd(device)
    (device / "trtexec").rename(device / "mine")
    assert build(kit, device, more={"TRTEXEC": named.format(device=device)}).returncode == 0


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("yours", "is not on the PATH"),
        ("/no/such/trtexec", "is no program"),
        ("./trtexec", "is no program"),
        ("/usr", "is no program"),
    ],
)
def test_a_named_trtexec_that_is_not_there_is_an_error(kit: Path, device: Path, named: str, reason: str) -> None:
    done = build(kit, device, more={"TRTEXEC": named})
    assert done.returncode == 1
    assert done.stderr == f"build.sh: TRTEXEC names {named}, which {reason}\n"


def test_with_tensorrts_python_package_alone_uhd_builds(kit: Path, device: Path) -> None:
    calls = install_uhd(device)
    (device / "trtexec").unlink()
    install(device / "python3", "[ \"$*\" = '-c import tensorrt' ]")
    assert build(kit, device).returncode == 0
    options = "--precision fp16 --modes 16x,4x --max-slices 9 --largest-view 4096 --attention plain"
    assert calls.read_text() == f"build bundle --target here {options}\n"
    calls.unlink()
    assert build(kit, device, "verify").returncode == 0
    assert calls.read_text() == "verify bundle --engine tensorrt --precision fp16\n"


@pytest.mark.parametrize(
    ("library", "advice"),
    [
        ("libnvdla_compiler.so", "without libnvdla_compiler.so: apt install nvidia-l4t-dla-compiler, then ldconfig"),
        ("libnvinfer.so.10", "does not start: libnvinfer.so.10: cannot open shared object file"),
    ],
)
def test_a_trtexec_without_its_libraries_says_which(kit: Path, device: Path, library: str, advice: str) -> None:
    install(
        device / "trtexec",
        f'echo "trtexec: error while loading shared libraries: {library}: cannot open shared object file"; exit 127',
    )
    done = build(kit, device)
    assert (done.returncode, advice in done.stderr) == (1, True), done.stderr


def test_without_any_tensorrt_it_says_what_to_install(kit: Path, device: Path) -> None:
    (device / "trtexec").unlink()
    done = build(kit, device)
    assert done.returncode == 1
    assert done.stderr.endswith("on JetPack: apt install tensorrt\n")
