"""Engines of a kit that do not run or are not exact enough are kept aside, and nothing else is called verified."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.kits import ENGINES, build, built_engines, install_uhd


def test_an_engine_that_does_not_run_is_kept_aside(kit: Path, device: Path) -> None:
    install_uhd(device)
    done = build(kit, device, does="fail-run")
    assert done.returncode == 1
    assert "encoder-fp16: does not run: Error occurred during inference" in done.stderr
    assert (kit / "bundle/engines/orin/failed/encoder-fp16.engine").is_file()
    assert "encoder-fp16.engine" not in built_engines(kit)


def test_engines_that_are_not_exact_enough_are_kept_aside(kit: Path, device: Path) -> None:
    install_uhd(device, code=1, says="failed: cosine 0.9")
    done = build(kit, device)
    assert done.returncode == 1
    assert "failed: cosine 0.9" in done.stdout
    assert "do not pass the comparison with FP32" in done.stderr
    assert built_engines(kit) == []
    aside = sorted(file.name for file in (kit / "bundle/engines/orin/failed").iterdir())
    assert aside == [f"{name}.engine{record}" for name in ENGINES for record in ("", ".json")]
    assert list((kit / "bundle/engines/orin").glob("*.json")) == []


@pytest.mark.parametrize("says", ["", "16x: fp16 on TensorRT, bes"], ids=["nothing", "cut off"])
def test_engines_that_could_not_be_compared_stay_and_are_not_called_verified(
    kit: Path, device: Path, says: str
) -> None:
    install_uhd(device, code=1, says=says)
    done = build(kit, device)
    assert done.returncode == 1
    assert "could not be verified" in done.stderr
    assert len(built_engines(kit)) == len(ENGINES)


def test_without_uhd_the_engines_are_built_and_not_called_verified(kit: Path, device: Path) -> None:
    done = build(kit, device)
    assert done.returncode == 1
    assert "built, but not verified: uhd is missing" in done.stderr
    assert len(built_engines(kit)) == len(ENGINES)
    install_uhd(device)
    assert build(kit, device, "verify").returncode == 0


def test_verifying_before_building_is_refused(kit: Path, device: Path) -> None:
    install_uhd(device)
    done = build(kit, device, "verify")
    assert done.returncode == 1
    assert "encoder-fp16: not built for TensorRT 10.3.0; run ./build.sh" in done.stderr


@pytest.mark.parametrize("order", [[], ["verify"]])
def test_engines_are_verified_on_the_pictures_that_are_named(
    kit: Path, device: Path, tmp_path: Path, order: list[str]
) -> None:
    calls = install_uhd(device)
    first, second = tmp_path / "a bench.png", tmp_path / "b.png"
    first.touch()
    second.touch()
    build(kit, device)
    calls.unlink()
    # The script changes into the kit's folder, and relative names are meant from where it was called.
    done = build(kit, device, *order, str(first).lstrip("/"), str(second))
    assert (done.returncode, done.stderr) == (0, "")
    assert calls.read_text() == f"verify bundle {first} {second} --engine tensorrt --precision fp16\n"
