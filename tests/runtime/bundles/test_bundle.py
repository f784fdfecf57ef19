"""The bundle's folder: opened cheaply, checked in full on request, refused in one line."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.handmade_bundle import FILES, manifest, write_bundle

from uhd_edge.engines.checksums import compute_sha256
from uhd_edge.runtime.bundles import bundle as bundle_module
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import BundleError, EngineUnavailableError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def write(folder: Path, content: dict[str, Any]) -> None:
    (folder / "bundle.json").write_text(json.dumps(content))


def test_a_whole_bundle_opens_and_verifies(folder: Path) -> None:
    bundle = Bundle.open(str(folder))
    bundle.check_files()
    assert bundle.llm_path.read_bytes() == FILES["llm.gguf"]
    encoder, connector = bundle.graphs("4x", "fp32")
    assert encoder.read_bytes() == b"another encoder"
    assert connector.read_bytes() == b"a connector"


def test_checksums_are_those_of_sha256sum(folder: Path) -> None:
    recorded = Bundle.open(folder).manifest.files
    for name in FILES:
        printed = subprocess.run(["sha256sum", folder / name], capture_output=True, text=True, check=True).stdout
        assert printed.split()[0] == recorded[name].sha256 == compute_sha256(folder / name)


def test_a_home_folder_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert Bundle.open("~/bundle").path == folder


def test_opening_reads_no_more_than_the_manifest(folder: Path) -> None:
    changed = bytearray(FILES["llm.gguf"])
    changed[3] ^= 1
    (folder / "llm.gguf").write_bytes(changed)
    bundle = Bundle.open(folder)
    with pytest.raises(BundleError, match=r"changed since it was written: llm\.gguf"):
        bundle.check_files()


def test_a_missing_or_cut_file_is_named_when_the_bundle_is_opened(folder: Path) -> None:
    weights = folder / "graphs" / "encoder-fp32.weights"
    weights.write_bytes(b"short")
    assert "encoder-fp32.weights has 5 bytes instead of 700" in refusal(folder)
    weights.unlink()
    assert "encoder-fp32.weights is missing" in refusal(folder)
    weights.mkdir()
    assert "encoder-fp32.weights is missing" in refusal(folder)


def test_a_file_that_disappears_after_opening_is_missed_by_verify(folder: Path) -> None:
    bundle = Bundle.open(folder)
    (folder / "llm.gguf").unlink()
    with pytest.raises(BundleError, match=r"llm\.gguf is missing"):
        bundle.check_files()


def test_what_is_no_bundle_folder_is_refused(tmp_path: Path) -> None:
    assert "no such bundle folder" in refusal(tmp_path / "nothing")
    (tmp_path / "file").touch()
    assert "this is a file" in refusal(tmp_path / "file")
    assert "bundle.json cannot be read" in refusal(tmp_path)
    assert "cannot be read" in refusal(tmp_path / ("x" * 300))


def test_a_checkpoint_in_place_of_a_bundle_is_told_with_the_way_to_one(tmp_path: Path) -> None:
    (folder := tmp_path / "My model").mkdir()
    (folder / "config.json").write_text("{}")
    assert refusal(folder) == (
        f"{folder}: a checkpoint and no bundle; make one of it with `uhd export '{folder}' BUNDLE`"
    )


def test_a_missing_builtin_bundle_asks_for_a_new_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "builtin_bundle", lambda: tmp_path / "uhd-tiny")
    with pytest.raises(BundleError, match="built-in uhd-tiny is not installed"):
        Bundle.open()


@pytest.mark.parametrize("version", [0, 3, 99])
def test_another_format_version_says_which_one_is_read(folder: Path, version: int) -> None:
    write(folder, {"format": version, "something": "else"})
    assert f"bundle format {version}, this version reads formats 1 and 2" in refusal(folder)


def every_key(content: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(content, dict) or path[:1] == ("files",):
        return []
    return [key for name, value in content.items() for key in ((*path, name), *every_key(value, (*path, name)))]


@pytest.mark.parametrize("key", every_key(manifest()), ids=".".join)
def test_a_missing_key_is_named(folder: Path, key: tuple[str, ...]) -> None:
    content = manifest()
    inner = content
    for part in key[:-1]:
        inner = inner[part]
    del inner[key[-1]]
    if key in {("graphs", "4x")}:
        write(folder, content)
        assert Bundle.open(folder).describe_graphs() == "16x (fp32)"  # a bundle may have one mode
        return
    write(folder, content)
    message = refusal(folder)
    assert key[-1] in message or key[-2] in message


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (("architecture",), "minicpmv4_8", "minicpmv4_6"),
        (("default_mode",), "8x", "default_mode"),
        (("graphs", "8x"), {}, "8x"),
        (("graphs", "16x", "int4"), {"encoder": "llm.gguf", "connector": "llm.gguf"}, "int4"),
        (("graphs", "16x"), {}, "16x has no graphs"),
        (("graphs", "16x"), {"int8-tensorrt": {"encoder": "llm.gguf", "connector": "llm.gguf"}}, "16x has no graphs"),
        (("graphs",), {}, "graphs"),
        (("thresholds",), {"int8": {"cosine": 1.5}}, "thresholds.int8.cosine"),
        (("calibration",), "calibration.json", "calibration.json is not recorded"),
        (("vision", "layers"), 0, "vision.layers"),
        (("vision", "layers"), "many", "vision.layers"),
        (("preprocessing", "resample"), 17, "preprocessing.resample"),
        (("prompt", "stop_ids"), [], "prompt.stop_ids"),
        (("surprise",), 1, "surprise"),
        (("files", "llm.gguf", "sha256"), "abc", "sha256"),
        (("files", "llm.gguf", "bytes"), -1, "bytes"),
    ],
)
def test_a_wrong_value_is_named(folder: Path, key: tuple[str, ...], value: Any, said: str) -> None:
    content = manifest()
    inner = content
    for part in key[:-1]:
        inner = inner[part]
    inner[key[-1]] = value
    write(folder, content)
    assert said in refusal(folder)


@pytest.mark.parametrize(
    "path", ["../llm.gguf", "/etc/passwd", "graphs/../../llm.gguf", "graphs//llm.gguf", "a\\b", "", ".", "llm.gguf\n"]
)
def test_a_path_that_leaves_the_bundle_is_refused(folder: Path, path: str) -> None:
    shutil.copy(folder / "llm.gguf", folder.parent / "llm.gguf")
    content = manifest()
    content["llm"]["file"] = path
    content["files"][path] = content["files"]["llm.gguf"]
    write(folder, content)
    assert "llm.file" in refusal(folder)
    content["llm"]["file"] = "llm.gguf"
    write(folder, content)
    assert "files" in refusal(folder)


def test_a_file_without_a_recorded_checksum_is_refused(folder: Path) -> None:
    for name in ("llm.gguf", "graphs/connector-fp32.onnx"):
        content = manifest()
        del content["files"][name]
        write(folder, content)
        assert f"{name} is not recorded" in refusal(folder)


def test_a_kit_is_not_the_bundle_in_it(tmp_path: Path) -> None:
    write_bundle(tmp_path / "kit" / "bundle")
    assert refusal(tmp_path / "kit") == f"{tmp_path}/kit: a kit for a Jetson; its bundle is {tmp_path}/kit/bundle"
    for name in ("kit.tar.gz", "kit.tgz", "kit.ZIP"):
        (tmp_path / name).touch()
        assert refusal(tmp_path / name) == (
            f"{tmp_path}/{name}: a bundle is a folder, this is an archive; unpack it, and name the bundle in it"
        )


def test_a_mode_or_precision_that_is_not_there_is_answered_with_what_is(folder: Path) -> None:
    with pytest.raises(
        EngineUnavailableError, match=r"no 16x graphs in int8; the bundle has 16x \(fp32\), 4x \(fp32\)"
    ):
        Bundle.open(folder).graphs("16x", "int8")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    text=st.one_of(
        st.binary(max_size=60),
        st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
            lambda value: json.dumps({"format": 1, "files": value}).encode()
        ),
        st.just(b"[" * 100_000),
        st.just(b'{"format":1e400}'),
    )
)
def test_no_content_of_the_manifest_gets_past_a_bundle_error(folder: Path, text: bytes) -> None:
    (folder / "bundle.json").write_bytes(text)
    refusal(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_any_value_in_any_place_opens_or_is_refused_in_one_line(folder: Path, data: st.DataObject) -> None:
    content = copy.deepcopy(manifest())
    key = data.draw(st.sampled_from(every_key(content)))
    inner = content
    for part in key[:-1]:
        inner = inner[part]
    inner[key[-1]] = data.draw(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()) | st.just({})
    )
    write(folder, content)
    try:
        Bundle.open(folder)
    except BundleError:
        refusal(folder)
