"""A list of checksums names every file of a bundle or a kit, and what is not as listed is found."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.kits import make_kit
from support.vision.built_engines import build

from uhd_edge.cli import main as cli
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.fleet_manifest import find_differences, read_fleet_manifest, write_fleet_manifest
from uhd_edge.runtime.errors import BundleError


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A copy of the built-in bundle, which may be written into."""
    return Bundle.open(shutil.copytree(Bundle.open().path, tmp_path / "bundle"))


@pytest.fixture
def listed(bundle: Bundle, tmp_path: Path) -> Path:
    file = tmp_path / "release.sha256"
    file.write_text(write_fleet_manifest(bundle.path))
    return file


def differences(bundle: Bundle, listed: Path) -> list[str]:
    return find_differences(bundle.path, read_fleet_manifest(listed))


def test_a_bundle_is_as_listed_and_sha256sum_says_so_too(bundle: Bundle, listed: Path) -> None:
    assert differences(bundle, listed) == []
    assert set(read_fleet_manifest(listed)) >= {"bundle.json", *bundle.manifest.files}
    program = shutil.which("sha256sum")
    if program is not None:
        subprocess.run([program, "--check", "--strict", "--quiet", str(listed)], cwd=bundle.path, check=True)


def test_what_is_missing_changed_or_not_listed_is_named(bundle: Bundle, listed: Path) -> None:
    names = sorted(bundle.manifest.files)
    (bundle.path / names[0]).unlink()
    with (bundle.path / names[1]).open("r+b") as stream:
        first = stream.read(1)
        stream.seek(0)
        stream.write(bytes([first[0] ^ 1]))
    (bundle.path / "added.bin").write_bytes(b"x")
    (bundle.path / ".hidden").write_bytes(b"x")
    assert differences(bundle, listed) == [
        f"{names[0]} is missing",
        f"{names[1]} is not the listed one",
        "added.bin is not listed",
    ]


def test_engines_that_a_device_built_belong_to_the_bundle_only_with_its_graphs(
    qwen3_bundle: Bundle, tmp_path: Path
) -> None:
    bundle = Bundle.open(shutil.copytree(qwen3_bundle.path, tmp_path / "copy"))
    listed = tmp_path / "list"
    listed.write_text(write_fleet_manifest(bundle.path))
    engines = build(bundle)
    assert differences(bundle, listed) == []
    assert write_fleet_manifest(bundle.path) == listed.read_text()
    engines[0].write_bytes(b"others")
    engines[1].with_name("lone.engine").write_bytes(b"engine")
    record = engines[1].with_name(f"{engines[1].name}.json")
    text = record.read_text()
    place = text.index('"sha256":') + 12
    record.write_text(text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :])
    (engines[1].parent / "broken.engine.json").write_text("{}")
    assert differences(bundle, listed) == [
        "engines/rtx-40/broken.engine.json is no record of an engine",
        "engines/rtx-40/connector-fp16.engine.json was built from another graph",
        "engines/rtx-40/encoder-fp16.engine.json has a damaged engine",
        "engines/rtx-40/lone.engine has no record",
    ]


def test_a_kit_is_listed_as_a_whole(qwen3_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kit = make_kit(qwen3_bundle, tmp_path / "kit")
    assert cli.exit_code(["inspect", str(kit), "--checksums"]) == 0
    listed = tmp_path / "kit.sha256"
    listed.write_text(capsys.readouterr().out)
    assert {"build.sh", "bundle/bundle.json"} <= set(read_fleet_manifest(listed))
    assert cli.exit_code(["inspect", str(kit), "--against", str(listed)]) == 0
    assert "files" in capsys.readouterr().out
    (kit / "build.sh").write_text("#!/bin/sh\n")
    assert cli.exit_code(["inspect", str(kit), "--against", str(listed)]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"uhd: {kit}: is not what {listed} lists: build.sh is not the listed one\n"
    assert captured.out == ""


def test_a_long_list_of_differences_is_one_line(
    bundle: Bundle, listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(9):
        (bundle.path / f"{number}.bin").write_bytes(b"")
    assert cli.exit_code(["inspect", str(bundle.path), "--against", str(listed)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.endswith("4.bin is not listed; and 4 more\n")


@pytest.mark.parametrize("text", ["", "abc  bundle.json\n", f"{'0' * 64}  ../secret\n", f"{'0' * 64}  /etc/passwd\n"])
def test_what_is_no_list_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(text)
    with pytest.raises(BundleError, match="make it with uhd inspect --checksums"):
        read_fleet_manifest(tmp_path / "list")


def test_a_list_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read"):
        read_fleet_manifest(tmp_path / "none")
    (tmp_path / "binary").write_bytes(os.urandom(64) + b"\xff")
    with pytest.raises(BundleError, match="cannot be read"):
        read_fleet_manifest(tmp_path / "binary")
    with pytest.raises(BundleError, match="no files in it"):
        write_fleet_manifest(tmp_path / "nowhere")
