"""A kit for a Jetson: what is in it, and what it is not made of."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest
from support.kits import make_kit
from support.places import ROOT
from support.wheels import environment_without_ours, install_wheel

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.building.kit import write_kit
from uhd_edge.engines.building.kit_files import writing_kit
from uhd_edge.engines.building.targets import find_jetpack, find_target
from uhd_edge.engines.errors import EngineBuildError
from uhd_edge.engines.extras import LLAMA_CPP, PYCUDA
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.checking.building import engine_orders, kit_contents

ORIN = find_target("orin")


def test_a_kit_names_its_jetpack_and_tensorrt(qwen3_bundle: Bundle, made: Path, tmp_path: Path) -> None:
    assert "with JetPack 6.2 (TensorRT 10.3)" in (made / "build.sh").read_text()
    assert "JetPack 6.2 (TensorRT 10.3, CUDA 12.6, Python 3.10)" in (made / "README.txt").read_text()
    thor = make_kit(qwen3_bundle, tmp_path / "thor", target="thor")
    assert "Jetson Thor with JetPack 7.1 (TensorRT 10.13)" in (thor / "build.sh").read_text()
    assert "CAPABILITY='11.0'" in (thor / "build.sh").read_text()


def test_a_kit_is_installed_from_its_own_wheel_and_pip_takes_it(made: Path, tmp_path: Path) -> None:
    (wheel,) = made.glob("*.whl")
    readme = (made / "README.txt").read_text()
    assert f'pip install ./{wheel.name} "{PYCUDA}"' in readme
    assert "-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=87" in readme
    commands = [shlex.split(line, comments=True) for line in readme.splitlines() if line.startswith("        pip")]
    assert commands == [["pip", "install", LLAMA_CPP]]  # a remark would be installed as a package
    programs = install_wheel(wheel, tmp_path / "environment")
    done = subprocess.run(
        [programs / "uhd", "--version"], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=environment_without_ours(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert version("uhd-edge") in done.stdout
    # What messages say of an extra is met by this one: PyPI is not asked for a package of that name.
    pip = [sys.executable, "-m", "pip", "--isolated", "--python", str(programs / "python"), "install", "--no-index"]
    done = subprocess.run(
        [*pip, "--no-deps", "uhd-edge[pull]"], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=environment_without_ours(tmp_path),
    )  # fmt: skip
    assert "already satisfied: uhd-edge[pull] in ./environment/" in done.stdout, done.stderr
    for file in (ROOT / "runtime" / "uhd-tiny").rglob("*.onnx"):
        installed = next((tmp_path / "environment").rglob(file.name))
        assert installed.read_bytes() == file.read_bytes()


def test_the_wheel_in_a_kit_does_not_depend_on_what_python_has_compiled(made: Path, tmp_path: Path) -> None:
    """An installed package has .pyc files with the times of its sources; a checkout may get them at any time."""
    (wheel,) = made.glob("*.whl")
    programs = install_wheel(wheel, tmp_path / "environment")
    assert list((tmp_path / "environment").rglob("uhd_edge/__pycache__/__init__.*.pyc"))
    script = "import pathlib, uhd_edge.engines.building.own_wheel as own; own.write_own_wheel(pathlib.Path())"
    (tmp_path / "again").mkdir()
    subprocess.run(
        [programs / "python", "-c", script], check=True, cwd=tmp_path / "again", env=environment_without_ours(tmp_path)
    )
    again = tmp_path / "again" / wheel.name
    assert ZipFile(again).namelist() == ZipFile(wheel).namelist()
    assert again.read_bytes() == wheel.read_bytes()


def test_jetpack_6_gets_the_library_that_its_tensorrt_is_linked_with(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    """JetPack 7.2 has no such package, and Thor no DLA."""
    for jetpack, has in (("6.2", True), ("7.2", False)):
        text = (make_kit(qwen3_bundle, tmp_path / jetpack, jetpack) / "README.txt").read_text()
        assert ("build-essential nvidia-l4t-dla-compiler\n" in text, "libnvdla_compiler.so" in text) == (has, has)


def test_pycuda_is_new_enough_for_cuda_13(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    thor = make_kit(qwen3_bundle, tmp_path / "thor", target="thor")
    assert '"pycuda>=2026.1"' in (thor / "README.txt").read_text()
    assert "CUDA_ARCHITECTURES=110" in (thor / "README.txt").read_text()


def test_a_kit_holds_no_absolute_path(made: Path, qwen3_bundle: Bundle) -> None:
    places = "|".join(folder.name for folder in Path("/").iterdir() if not folder.name.startswith("."))
    for file in made.rglob("*"):
        assert not file.is_symlink()
        if file.suffix in (".sh", ".json", ".txt"):
            text = file.read_text().removeprefix("#!/bin/sh\n")
            on_every_jetpack = ("/dev/null", "/proc/meminfo", "/usr/src/tensorrt", "/usr/local/cuda/bin")
            for everywhere in on_every_jetpack:
                text = text.replace(everywhere, "")
            paths = re.findall(rf"(?<![\w.}}])/(?:{places})\b[^\s\"']*", text)
            assert paths == [], f"{file.name}: {paths}"
        elif file.is_file() and file.suffix == ".onnx":
            assert str(qwen3_bundle.path).encode() not in file.read_bytes()


def test_the_bundle_in_a_kit_is_whole_and_holds_only_what_is_needed(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    contents = kit_contents(qwen3_bundle, modes=["4x"], precisions=["fp16"])
    kit = write_kit(
        tmp_path / "kit",
        contents,
        engine_orders(qwen3_bundle, modes=["4x"], precision="fp16"),
        target=ORIN,
        jetpack=find_jetpack(ORIN, None),
        progress=lambda _: None,
    )
    bundle = Bundle.open(kit / "bundle")
    bundle.check_files()
    assert list(bundle.manifest.graphs) == ["4x"]
    assert bundle.manifest.default_mode == "4x"
    assert {file.relative_to(bundle.path).as_posix() for file in bundle.path.rglob("*") if file.is_file()} == {
        "bundle.json",
        *bundle.manifest.files,
    }


@pytest.mark.parametrize("suffix", ["tar.gz", "tgz", "TGZ"])
def test_an_archive_unpacks_into_the_same_files(suffix: str, qwen3_bundle: Bundle, made: Path, tmp_path: Path) -> None:
    archive = make_kit(qwen3_bundle, tmp_path / f"orin-kit.{suffix}")
    with tarfile.open(archive) as opened:
        assert {entry.name.split("/")[0] for entry in opened} == {"orin-kit"}
        assert {(entry.uid, entry.mtime, entry.uname) for entry in opened} == {(0, 0, "")}
        opened.extractall(tmp_path / "device", filter="data")
    unpacked = tmp_path / "device" / "orin-kit"
    assert os.access(unpacked / "build.sh", os.X_OK)
    for file in made.rglob("*"):
        if file.is_file():
            assert (unpacked / file.relative_to(made)).read_bytes() == file.read_bytes()


def test_a_zip_unpacks_into_the_same_files_and_says_which_can_be_run(
    qwen3_bundle: Bundle, made: Path, tmp_path: Path
) -> None:
    archive = make_kit(qwen3_bundle, tmp_path / "orin-kit.zip")
    with ZipFile(archive) as opened:
        assert opened.testzip() is None
        modes = {entry.filename: entry.external_attr >> 16 for entry in opened.infolist()}
        assert {name for name, mode in modes.items() if mode & 0o111} == {"orin-kit/build.sh"}
        assert {entry.create_system for entry in opened.infolist()} == {3}  # Unix: the modes count
        opened.extractall(tmp_path / "device")
    files = {file.relative_to(made) for file in made.rglob("*") if file.is_file()}
    assert {Path(name).relative_to("orin-kit") for name in modes} == files
    for file in files:
        assert (tmp_path / "device" / "orin-kit" / file).read_bytes() == (made / file).read_bytes()


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("kit.tar.xz", r"a kit is a folder or an archive in \.tar\.gz, \.tgz, \.zip, and no \.xz; choose"),
        ("kit.tar", r"and no \.tar; choose"),
        ("afile/kit", r"afile/kit: cannot be written, because .*afile is no folder; choose"),
        ("afile/deeper/kit.zip", r"cannot be written, because .*afile is no folder; choose"),
        ("afile", r"already exists; choose"),
        ("x" * 300, r"cannot be written \(File name too long\)"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_graphs_are_checked(
    output: str, reason: str, qwen3_bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "afile").write_text("here")
    said: list[str] = []
    with pytest.raises(EngineBuildError, match=rf"^[^\n]*{reason}[^\n]*$"):
        write_kit(
            tmp_path / output,
            kit_contents(qwen3_bundle, modes=["16x"], precisions=["fp16"]),
            engine_orders(qwen3_bundle, modes=["16x"], precision="fp16"),
            target=ORIN,
            jetpack=find_jetpack(ORIN, None),
            progress=said.append,
        )
    assert said == []
    assert [file.name for file in tmp_path.iterdir()] == ["afile"]


def test_an_existing_kit_is_not_overwritten(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "kit").mkdir()
    with pytest.raises(EngineBuildError, match="already exists"):
        make_kit(qwen3_bundle, tmp_path / "kit")
    assert list((tmp_path / "kit").iterdir()) == []


@pytest.mark.parametrize("name", ["kit", "kit.tar.gz", "kit.zip"])
def test_a_kit_that_cannot_be_finished_leaves_nothing(qwen3_bundle: Bundle, tmp_path: Path, name: str) -> None:
    contents = kit_contents(qwen3_bundle, modes=["16x"], precisions=["fp16"])
    broken = replace(contents, files=(*contents.files, "no-such-file"))
    with pytest.raises(EngineBuildError, match=f"{name}: cannot be written"):
        write_kit(
            tmp_path / name,
            broken,
            engine_orders(qwen3_bundle, modes=["16x"], precision="fp16"),
            target=ORIN,
            jetpack=find_jetpack(ORIN, None),
            progress=lambda _: None,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_kit_for_a_graph_that_tensorrt_refuses_is_not_made(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for x86-64 alone")
    folder = tmp_path / "bundle"
    shutil.copytree(qwen3_bundle.path, folder)
    graph = folder / "graphs/encoder-fp16.onnx"
    graph.write_bytes(graph.read_bytes().replace(b"Softmax", b"Saftmax"))
    with pytest.raises(EngineBuildError, match=r"rejects the graph.*Saftmax"):
        make_kit(Bundle.open(folder), tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


def test_the_command_makes_a_kit_and_says_where(
    qwen3_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "kit"
    arguments = ["build", str(qwen3_bundle.path), "--target", "orin", "--jetpack", "7.2", "--output", str(output)]
    assert exit_code([*arguments, "--modes", "16x", "--max-slices", "4"]) == 0
    assert capsys.readouterr().out == f"{output}\n"
    record = json.loads((output / "records/encoder-16x-fp16.json").read_text())
    assert record["profiles"][0]["patches"]["largest"][0] == 5
    assert "TENSORRT='10.16'" in (output / "build.sh").read_text()


@pytest.mark.parametrize("name", ["kit.tar.gz", "kit.zip"])
def test_the_bytes_of_an_archive_depend_on_its_content_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("The file's own time is not kept.")
    for number, folder in enumerate(("one", "other")):
        os.utime(tmp_path / "file", (number, number))
        with writing_kit(tmp_path / folder / name) as files:
            files.add_text("README.txt", "Run ./build.sh.")
            files.add_file("file", tmp_path / "file")
    one, other = ((tmp_path / folder / name).read_bytes() for folder in ("one", "other"))
    assert one == other
    if name == "kit.tar.gz":
        assert one[4:8] == bytes(4)  # gzip's own time
