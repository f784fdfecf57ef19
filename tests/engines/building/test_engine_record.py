"""What is recorded beside an engine, and how one that does not fit is refused."""

from __future__ import annotations

import json
import shlex
import shutil
from typing import TYPE_CHECKING

import pytest

from uhd_edge.engines.building.engine_record import (
    EngineRecord,
    check_fits,
    find_engines,
    read_digest,
    read_digests,
    set_aside,
    write_record,
)
from uhd_edge.engines.building.profiles import ShapeRange
from uhd_edge.engines.errors import EngineRefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle

GRAPH = "graphs/encoder-fp16.onnx"
VERSION, CAPABILITY = "1.7.1.116", "8.9"


@pytest.fixture
def bundle(qwen3_bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle with one engine, whose content nobody reads here."""
    folder = tmp_path / "bundle"
    shutil.copytree(qwen3_bundle.path, folder)
    engine = folder / "engines" / "rtx-40" / "encoder-fp16.engine"
    engine.parent.mkdir(parents=True)
    engine.write_bytes(bytes(range(256)) * 40)
    features = ShapeRange((1, 16), (1, 64), (10, 512))
    record = EngineRecord(
        backend="tensorrt-rtx",
        backend_version=VERSION,
        target="rtx-40",
        compute_capability=CAPABILITY,
        gpu=None,
        precision="fp16",
        graph=GRAPH,
        graph_files=read_digests(folder / GRAPH),
        profiles=({"position_ids": features},),
        engine=read_digest(engine),
        path=engine,
    )
    write_record(record)
    return folder


def only(bundle: Path) -> EngineRecord:
    (record,) = find_engines(bundle)
    return record


def check(bundle: Path, *, version: str = VERSION, capability: str = CAPABILITY, graph: str = GRAPH) -> None:
    check_fits(only(bundle), graph=bundle / graph, backend_version=version, compute_capability=capability)


def refusal_knowing(known_sha256: dict[Path, str], bundle: Path) -> str:
    """The refusal by who knows some digests and need not read those files."""
    with pytest.raises(EngineRefusedError) as caught:
        check_fits(
            only(bundle),
            graph=bundle / GRAPH,
            backend_version=VERSION,
            compute_capability=CAPABILITY,
            known_sha256=known_sha256,
        )
    return str(caught.value)


def refusal(bundle: Path, *, version: str = VERSION, capability: str = CAPABILITY) -> str:
    with pytest.raises(EngineRefusedError) as caught:
        check(bundle, version=version, capability=capability)
    return str(caught.value)


def flip(file: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)


def test_an_engine_beside_its_graph_fits(bundle: Path) -> None:
    check(bundle)


def test_a_record_says_what_it_belongs_to_and_holds_no_path_of_this_machine(bundle: Path) -> None:
    text = (bundle / "engines/rtx-40/encoder-fp16.engine.json").read_text()
    written = json.loads(text)
    assert written["graph"] == GRAPH
    assert set(written["graph_files"]) == {"encoder-fp16.onnx", "encoder-fp16.weights"}
    assert written["profiles"][0]["position_ids"]["largest"] == [10, 512]
    assert str(bundle) not in text
    assert "path" not in written


@pytest.mark.parametrize("name", ["encoder-fp16.onnx", "encoder-fp16.weights"])
def test_a_changed_graph_or_weight_is_refused(bundle: Path, name: str) -> None:
    flip(bundle / "graphs" / name, 2000)
    message = refusal(bundle)
    assert f"was built from another graph: {name} has changed" in message
    assert f"uhd build {bundle} --target rtx-40 --precision fp16" in message


def test_a_graph_that_grew_is_refused_without_reading_it(bundle: Path) -> None:
    with (bundle / "graphs/encoder-fp16.weights").open("ab") as stream:
        stream.write(b"more")
    known = {bundle / "graphs" / name: digest.sha256 for name, digest in only(bundle).graph_files.items()}
    assert "encoder-fp16.weights has changed" in refusal_knowing(known, bundle)


def test_a_digest_that_is_known_is_compared_instead_of_the_file(bundle: Path) -> None:
    known = {bundle / "graphs/encoder-fp16.weights": "0" * 64}
    assert "encoder-fp16.weights has changed" in refusal_knowing(known, bundle)


def test_a_missing_weight_file_is_refused(bundle: Path) -> None:
    (bundle / "graphs/encoder-fp16.weights").unlink()
    assert "was built from encoder-fp16.weights, which is missing" in refusal(bundle)


def test_another_graph_of_the_same_bundle_is_refused(bundle: Path) -> None:
    with pytest.raises(EngineRefusedError, match=r"was built from graphs/encoder-fp16\.onnx, not from connector"):
        check(bundle, graph="graphs/connector-fp16.onnx")


@pytest.mark.parametrize("version", ["1.6.1.116", "1.7.2.116", "10.3.0"])
def test_another_version_of_tensorrt_is_refused(bundle: Path, version: str) -> None:
    message = refusal(bundle, version=version)
    assert f"was built by TensorRT-RTX {VERSION}, this is TensorRT-RTX {version}" in message
    assert "uhd build" in message


def test_a_version_without_its_build_number_is_the_same_version(bundle: Path) -> None:
    check(bundle, version="1.7.1")


@pytest.mark.parametrize(("capability", "target"), [("8.6", "rtx-30"), ("12.0", "rtx-50"), ("9.0", "here")])
def test_another_gpu_is_refused_with_the_command_for_that_gpu(bundle: Path, capability: str, target: str) -> None:
    message = refusal(bundle, capability=capability)
    assert f"compute capability 8.9, this one has {capability}" in message
    assert f"--target {target} --precision fp16" in message


def test_a_truncated_engine_is_refused(bundle: Path) -> None:
    engine = only(bundle).path
    engine.write_bytes(engine.read_bytes()[:-1])
    assert "has 10239 bytes instead of 10240: it was truncated" in refusal(bundle)


def test_a_damaged_engine_is_refused(bundle: Path) -> None:
    flip(only(bundle).path, 5000)
    assert "is damaged" in refusal(bundle)


def test_a_missing_engine_is_refused(bundle: Path) -> None:
    only(bundle).path.unlink()
    assert "cannot be read (No such file" in refusal(bundle)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"[]", "is not an engine record"),
        (b"{}", "Field required"),
        (b"\xff\xfe", "is not JSON"),
        (b'{"format": 2}', "format"),
    ],
)
def test_a_broken_record_is_refused_with_the_command_that_replaces_it(
    bundle: Path, content: bytes, reason: str
) -> None:
    file = bundle / "engines/rtx-40/encoder-fp16.engine.json"
    file.write_bytes(content)
    with pytest.raises(EngineRefusedError, match=f"{reason}.*uhd build .* --target rtx-40") as caught:
        find_engines(bundle)
    assert "\n" not in str(caught.value)


def test_a_broken_record_is_told_and_does_not_hide_the_others(bundle: Path) -> None:
    found = find_engines(bundle)
    broken = bundle / "engines/rtx-40/broken.engine.json"
    broken.write_text("{")
    told: list[str] = []
    assert find_engines(bundle, told.append) == found
    assert [text.partition(": ")[0] for text in told] == [str(broken)]


def test_an_engine_that_failed_is_kept_aside_and_not_found(bundle: Path) -> None:
    moved = set_aside(only(bundle))
    assert moved == bundle / "engines/rtx-40/failed/encoder-fp16.engine"
    assert moved.is_file()
    assert moved.with_name("encoder-fp16.engine.json").is_file()
    assert find_engines(bundle) == []


def test_the_command_that_builds_an_engine_again_can_be_pasted(bundle: Path, tmp_path: Path) -> None:
    named = bundle.rename(tmp_path / "Anna's bundle")
    command = refusal(named, version="1.8.0").rpartition("build it again: ")[2]
    assert shlex.split(command) == ["uhd", "build", str(named), "--target", "rtx-40", "--precision", "fp16"]
