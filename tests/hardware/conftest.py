"""What the hardware tests need: a GPU, TensorRT and pycuda. Where one is missing they are skipped, and say why.

Run them with `make test-gpu`. They use the built-in uhd-tiny, or the bundle that the
environment variable UHD_BUNDLE names, which is copied and not changed. A bundle that has
been calibrated is tested in INT8 too.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from support.hardware.table import Row, table_lines
from support.places import EXAMPLES

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.building.targets import find_target_for_gpu
from uhd_edge.engines.errors import UhdError
from uhd_edge.engines.tensorrt.cuda import CudaDevice
from uhd_edge.engines.tensorrt.gpu import Gpu, first_gpu
from uhd_edge.engines.tensorrt.library import INSTALL, import_tensorrt
from uhd_edge.runtime.bundles.bundle import Bundle

if TYPE_CHECKING:
    from uhd_edge.engines.tensorrt.library import Backend
    from uhd_edge.runtime.modes import Precision

PICTURES = sorted(EXAMPLES.glob("*.png"))


@dataclass(frozen=True)
class Built:
    """A copy of the bundle with engines of one backend in one precision for this GPU."""

    bundle: Bundle
    backend: Backend
    precision: Precision


@pytest.fixture(scope="session")
def gpu() -> Gpu:
    try:
        return first_gpu()
    except UhdError as error:
        pytest.skip(f"no GPU: {str(error).partition(' (')[0]}")


@pytest.fixture(scope="session")
def own_bundle() -> Bundle:
    """The bundle to test: uhd-tiny, or the one that UHD_BUNDLE names."""
    return Bundle.open(os.environ.get("UHD_BUNDLE"))


@pytest.fixture(scope="session", params=["tensorrt", "tensorrt-rtx"])
def backend(request: pytest.FixtureRequest, gpu: Gpu) -> Backend:
    chosen: Backend = request.param
    try:
        import_tensorrt(chosen)
        CudaDevice(INSTALL[chosen])
    except UhdError as error:
        pytest.skip(f"needs {chosen}: {error}")
    return chosen


@pytest.fixture(scope="session", params=["fp16", "int8"])
def built(
    request: pytest.FixtureRequest,
    backend: Backend,
    gpu: Gpu,
    own_bundle: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
) -> Built:
    source = own_bundle
    kind = {"fp16": "fp16", "int8": "int8-tensorrt"}[request.param]
    if any(kind not in graphs for graphs in source.manifest.graphs.values()):
        pytest.skip(f"{source.path} has no {kind} graphs: name a bundle that has them in UHD_BUNDLE")
    copy = tmp_path_factory.mktemp("bundles") / f"{backend}-{request.param}"
    shutil.copytree(source.path, copy, ignore=shutil.ignore_patterns("engines"))
    target = "here" if backend == "tensorrt" else find_target_for_gpu(backend, gpu.compute_capability)
    if backend == "tensorrt-rtx" and target == "here":
        pytest.skip(f"TensorRT-RTX does not build for compute capability {gpu.compute_capability}")
    named_pictures = [word for picture in PICTURES for word in ("--image", str(picture))]
    assert exit_code(["build", str(copy), "--target", target, "--precision", request.param, *named_pictures]) == 0
    return Built(Bundle.open(copy), backend, request.param)


@pytest.fixture
def pictures() -> list[Path]:
    """The repository's own example pictures; without any the tests draw some."""
    return PICTURES


@pytest.fixture
def picture(pictures: list[Path], tmp_path: Path) -> Path:
    if pictures:
        return pictures[0]
    drawn = tmp_path / "drawn.png"
    Image.new("RGB", (640, 480), "teal").save(drawn)
    return drawn


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the rows of `test_table.py` as a table, where these tests were asked for by name."""
    if not any("hardware" in argument for argument in config.args):
        return
    reports = [report for kind in ("passed", "failed", "skipped") for report in terminalreporter.stats.get(kind, [])]
    rows = [(names, _outcome(report)) for report in reports if (names := _row_names(report.nodeid))]
    if rows:
        terminalreporter.section("to paste into an issue")
        for line in table_lines(sorted(rows, key=lambda row: row[0])):
            terminalreporter.line(line)


def _row_names(node: str) -> tuple[str, str, str] | None:
    """Engine, precision and mode of a row, from the name of its test; None for other tests."""
    if node.endswith("test_row_of_the_cpu"):
        return "onnxruntime", "fp32", "16x"
    if "test_row_of_a_gpu[" not in node:
        return None
    words = node.rpartition("[")[2]
    backend = "tensorrt-rtx" if "rtx" in words else "tensorrt"
    return backend, "int8" if "int8" in words else "fp16", "4x" if "4x" in words else "16x"


def _outcome(report: Any) -> Row | str:
    found = next((value for name, value in report.user_properties if name == "row"), None)
    if found is not None:
        return Row(*found)
    if report.skipped:
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return f"failed, {str(report.longreprtext).splitlines()[-1]}"
