"""A kit with padded attention heads: the device builds them, or times both flavours and keeps the faster one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
from support.kits import build, install, install_uhd

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.building.engine_record import find_engines

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.bundle import Bundle

PADDED = "bundle/graphs/encoder-fp16-padded.onnx"


def make(bundle: Bundle, folder: Path, attention: str) -> Path:
    arguments = ["build", str(bundle.path), "--target", "orin", "--attention", attention, "--output", str(folder)]
    assert exit_code(arguments) == 0
    return folder


@pytest.fixture(scope="module")
def faster(qwen3_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit with both flavours; do not write into it."""
    return make(qwen3_bundle, tmp_path_factory.mktemp("kits") / "faster", "faster")


@pytest.fixture
def kit(faster: Path, tmp_path: Path) -> Path:
    return shutil.copytree(faster, tmp_path / "my kit")


def chosen(kit: Path) -> dict[str, str]:
    records = find_engines(kit / "bundle")
    return {record.path.stem: record.attention for record in records}


@pytest.mark.parametrize(
    ("does", "heads", "time"), [("", "padded", "4.8"), ("slow-padding", "plain", "6.2")], ids=["faster", "slower"]
)
def test_both_flavours_are_timed_and_the_faster_one_is_kept(
    kit: Path, device: Path, does: str, heads: str, time: str
) -> None:
    install_uhd(device)
    done = build(kit, device, does=does)
    assert (done.returncode, done.stderr) == (0, "")
    said = f"encoder-fp16: 5.5 ms plain, {time} ms with padded attention heads: {heads} is kept"
    assert said in done.stdout.splitlines()
    assert chosen(kit) == {"encoder-fp16": heads, "connector-fp16": "plain"}
    assert (b"padded" in (kit / "bundle/engines/orin/encoder-fp16.engine").read_bytes()) == (heads == "padded")
    left = {file.name for file in (kit / "bundle/engines/orin").iterdir()}
    engines = {f"{name}.engine{end}" for name in ("encoder-fp16", "connector-fp16") for end in ("", ".json")}
    assert left == engines | {"timing-10.3.0.cache", "verify.txt"}
    assert build(kit, device, does="fail-build").stdout.count("already built") == 2


def test_the_padded_flavour_alone_is_built_where_the_kit_was_made_so(
    qwen3_bundle: Bundle, device: Path, tmp_path: Path
) -> None:
    kit = make(qwen3_bundle, tmp_path / "kit", "padded")
    install_uhd(device)
    done = build(kit, device)
    assert (done.returncode, done.stderr) == (0, "")
    assert chosen(kit) == {"encoder-fp16": "padded", "connector-fp16": "plain"}
    assert "ms plain" not in done.stdout


def test_the_padded_graph_in_a_kit_computes_what_the_plain_one_does(faster: Path) -> None:
    inputs = {
        "patches": np.random.default_rng(0).uniform(-1, 1, (1, 64, 588)).astype(np.float32),
        "position_ids": np.arange(64)[None],
        "uncompressed": np.zeros((1, 0), np.int64),
    }
    one, other = (
        onnxruntime.InferenceSession(faster / name).run(None, inputs)[0]
        for name in (PADDED, PADDED.replace("-padded", ""))
    )
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_where_nothing_can_be_timed_the_plain_engine_stays(kit: Path, device: Path) -> None:
    install_uhd(device)
    done = build(kit, device, does="silent")
    assert done.returncode == 0
    assert "encoder-fp16: trtexec does not tell its time" in done.stderr
    assert "encoder-fp16: stays plain; padded attention heads were not measured" in done.stdout
    assert chosen(kit) == {"encoder-fp16": "plain", "connector-fp16": "plain"}
    assert b"padded" not in (kit / "bundle/engines/orin/encoder-fp16.engine").read_bytes()


def test_where_the_padded_graph_cannot_be_built_the_plain_engine_stays(kit: Path, device: Path) -> None:
    install_uhd(device)
    (kit / PADDED).unlink()
    done = build(kit, device)
    assert done.returncode == 0
    assert "encoder-fp16-padded: trtexec could not build it" in done.stderr
    assert chosen(kit) == {"encoder-fp16": "plain", "connector-fp16": "plain"}


def test_without_trtexec_uhd_measures_on_the_device_too(kit: Path, device: Path) -> None:
    calls = install_uhd(device)
    (device / "trtexec").unlink()
    install(device / "python3", "[ \"$*\" = '-c import tensorrt' ]")
    assert build(kit, device).returncode == 0
    assert " --attention faster" in calls.read_text()
