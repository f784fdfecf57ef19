"""`uhd build` for one mode where both were built: it takes that mode over, and leaves the other as it was."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.building.engine_record import find_engines
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import Manifest
from uhd_edge.runtime.checking.building import engine_orders
from uhd_edge.runtime.checking.verify import VerificationReport
from uhd_edge.runtime.vision.engine_choice import Choice, select_records

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.runtime.modes import Mode


@pytest.fixture
def bundle(qwen3_bundle: Bundle, tmp_path: Path) -> Bundle:
    return Bundle.open(shutil.copytree(qwen3_bundle.path, tmp_path / "bundle"))


def taken(bundle: Bundle, mode: Mode) -> tuple[list[str], EngineRecord]:
    """The names of the engines that FP16 means in `mode`, and the connector's."""
    choice = Choice("tensorrt-rtx", "fp16", "fp16")
    encoders, (connector,) = select_records(bundle, mode, choice, find_engines(bundle.path))
    return [record.path.stem for record in encoders], connector


def features(record: EngineRecord) -> tuple[tuple[int, ...], tuple[int, ...]]:
    (profile,) = record.profiles
    return profile["features"].smallest, profile["features"].largest


def build(bundle: Bundle, *more: str, target: str = "rtx-40") -> int:
    return exit_code(["build", str(bundle.path), "--target", target, *more])


def test_a_newer_engine_for_one_mode_is_the_one_that_is_used_and_the_other_mode_keeps_its_own(bundle: Bundle) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for x86-64 alone")
    assert build(bundle) == 0
    _, connector = taken(bundle, "4x")
    shapes = features(connector)
    assert build(bundle, "--modes", "16x", "--max-slices", "1") == 0
    assert taken(bundle, "16x")[0] == ["encoder-16x-fp16"]
    encoders, connector = taken(bundle, "4x")
    assert encoders == ["encoder-fp16"]
    assert features(connector) == shapes  # 4x has views of four times as many features
    assert build(bundle, "--max-slices", "1") == 0
    assert taken(bundle, "16x")[0] == taken(bundle, "4x")[0] == ["encoder-fp16"]
    left = {file.name for file in (bundle.path / "engines/rtx-40").glob("*.engine")}
    assert left == {"encoder-fp16.engine", "connector-fp16.engine"}


@pytest.mark.usefixtures("trtexec")
def test_an_engine_that_fails_in_one_mode_takes_nothing_from_the_other(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[str] = []

    def verify_bundle(*_: Any, **__: Any) -> VerificationReport:
        return VerificationReport((), (), (), tuple(failures), (), synthetic=True)

    monkeypatch.setattr("uhd_edge.runtime.checking.verify.verify_bundle", verify_bundle)
    assert build(bundle, target="here") == 0
    failures.append("too far off")
    assert build(bundle, "--modes", "16x", target="here") == 1
    assert {record.path.stem for record in find_engines(bundle.path)} == {"encoder-fp16", "connector-fp16"}
    assert (bundle.path / "engines/here/failed/encoder-16x-fp16.engine").is_file()


def test_connectors_of_their_own_have_names_of_their_own(bundle: Bundle) -> None:
    manifest = json.loads((bundle.path / "bundle.json").read_text())
    manifest["graphs"]["4x"]["fp16"]["connector"] = "graphs/connector-4x.onnx"
    apart = Bundle(bundle.path, Manifest.model_validate(manifest))
    shutil.copy(bundle.path / "graphs/connector-fp16.onnx", bundle.path / "graphs/connector-4x.onnx")

    def names(*modes: Mode) -> list[str]:
        return [order.name for order in engine_orders(apart, modes=modes, precision="fp16")][-len(modes) :]

    assert names("16x", "4x") == [*names("16x"), *names("4x")] == ["connector-16x-fp16", "connector-4x-fp16"]
