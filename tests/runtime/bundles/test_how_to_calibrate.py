"""The one place that says how graphs are calibrated: as a command that can be run, wherever it is said."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from uhd_edge.calibration.calibrate import calibrate_bundle
from uhd_edge.cli.commands.calibrate import calibrate
from uhd_edge.cli.main import exit_code
from uhd_edge.runtime.bundles.bundle import MANIFEST, Bundle
from uhd_edge.runtime.bundles.how_to_calibrate import how_to_calibrate
from uhd_edge.runtime.errors import CalibrationError, EngineUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.runtime.bundles.manifest import GraphKind


def test_what_calibrates_again_does_not_lose_what_was_calibrated_before(qwen3_bundle: Bundle, fp8_tiny: Bundle) -> None:
    assert (
        how_to_calibrate(qwen3_bundle.manifest, "int8-tensorrt", qwen3_bundle.path)
        == f"uhd calibrate {qwen3_bundle.path}"
    )
    assert how_to_calibrate(qwen3_bundle.manifest, "nvfp4", qwen3_bundle.path).endswith(" --precision int8,nvfp4")
    assert how_to_calibrate(fp8_tiny.manifest, "int8-tensorrt", fp8_tiny.path).endswith(" --precision int8,fp8,nvfp4")


@pytest.mark.parametrize("kind", ["int8", "int8-tensorrt", "fp8", "nvfp4"])
def test_it_is_a_command_that_click_takes(qwen3_bundle: Bundle, kind: GraphKind) -> None:
    uhd, name, *arguments = shlex.split(how_to_calibrate(qwen3_bundle.manifest, kind, qwen3_bundle.path))
    assert (uhd, name) == ("uhd", "calibrate")
    given = calibrate.make_context(name, arguments).params
    assert given["arguments"] == (str(qwen3_bundle.path),)  # the pictures that come with uhd-edge need not be named
    assert kind.partition("-")[0] in given["precisions"]


@pytest.mark.parametrize("kind", ["int8", "int8-tensorrt", "fp8", "nvfp4"])
def test_a_bundle_names_it_where_such_graphs_are_missing(qwen3_bundle: Bundle, kind: GraphKind) -> None:
    with pytest.raises(EngineUnavailableError) as caught:
        qwen3_bundle.graphs("16x", kind)
    assert str(caught.value).endswith(
        f"; make them: {how_to_calibrate(qwen3_bundle.manifest, kind, qwen3_bundle.path)}"
    )


@pytest.mark.parametrize(("missing", "kind"), [("fp32", "int8"), ("fp32", "fp8"), ("fp16", "fp8")])
def test_what_a_calibration_would_refuse_is_said_to_be_exported_first(
    qwen3_bundle: Bundle, tmp_path: Path, missing: GraphKind, kind: GraphKind
) -> None:
    graphs = {
        mode: {one: pair for one, pair in kinds.items() if one != missing}
        for mode, kinds in qwen3_bundle.manifest.graphs.items()
    }
    bundle = Bundle(qwen3_bundle.path, qwen3_bundle.manifest.model_copy(update={"graphs": graphs}))
    with pytest.raises(CalibrationError, match="export with --precisions fp32,fp16"):
        calibrate_bundle(bundle, precisions=("int8", *([kind] if kind == "fp8" else [])))
    said = how_to_calibrate(bundle.manifest, kind, bundle.path)
    assert said.startswith("export the bundle with --precisions fp32,fp16 first, then uhd calibrate ")


def test_a_memory_plan_names_no_calibration_that_would_be_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = Bundle.open()
    for name in tiny.manifest.files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(tiny.path / name)
    manifest = json.loads((tiny.path / MANIFEST).read_text())
    for kinds in manifest["graphs"].values():
        del kinds["fp32"]
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    assert exit_code(["plan", "--memory", "900MB", "--target", "orin", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "nothing fits" in error
    assert "uhd calibrate" not in error
