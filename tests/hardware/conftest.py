"""What the hardware tests need: a GPU, TensorRT and pycuda. Where one is missing they are skipped, and say why.

Run them with `make test-gpu`. They use the built-in uhd-tiny, or the bundle that the
environment variable UHD_BUNDLE names, which is copied and not changed. A bundle that has
been calibrated is tested in INT8 too, and in FP8 and NVFP4 where the GPU has them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from support.hardware.builds import FLAVOURS, PICTURES, Builds, Built
from support.hardware.table import Row, table_lines

from uhd_edge.engines.errors import UhdError
from uhd_edge.engines.tensorrt.cuda import CudaDevice
from uhd_edge.engines.tensorrt.gpu import Gpu, first_gpu
from uhd_edge.engines.tensorrt.library import INSTALL, import_tensorrt
from uhd_edge.runtime.bundles.bundle import Bundle

if TYPE_CHECKING:
    from uhd_edge.engines.tensorrt.library import Backend


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


@pytest.fixture(scope="session")
def builds(gpu: Gpu, own_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return Builds(own_bundle, gpu, tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="session", params=FLAVOURS[:2], ids=str)
def built(request: pytest.FixtureRequest, backend: Backend, builds: Builds) -> Built:
    """Engines in FP16 and INT8, which every test about engines is run with."""
    return builds.get(backend, request.param)


@pytest.fixture(scope="session", params=FLAVOURS, ids=str)
def any_built(request: pytest.FixtureRequest, backend: Backend, builds: Builds) -> Built:
    """Engines of every flavour, for the table and the bundle's thresholds."""
    return builds.get(backend, request.param)


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
    # A test whose engine could not be built is an error; one that fails only after it was run has its row already.
    kinds = ("passed", "failed", "skipped", "error")
    reports = [report for kind in kinds for report in terminalreporter.stats.get(kind, []) if report.when != "teardown"]
    rows = [(names, _outcome(report)) for report in reports if (names := _row_names(report.nodeid))]
    if rows:
        terminalreporter.section("to paste into an issue")
        for line in table_lines(sorted(rows, key=lambda row: row[0])):
            terminalreporter.line(line)


def _row_names(node: str) -> tuple[str, str, str] | None:
    """Engine, precision and mode of a row, from the name of its test; None for other tests."""
    test, _, words = node.rpartition("::")[2].rstrip("]").partition("[")
    mode = "4x" if "4x" in words else "16x"
    if test == "test_row_of_the_cpu":
        return "onnxruntime", "fp32", "16x"
    if test == "test_row_of_onnxruntime_on_a_gpu":
        return "onnxruntime, CUDA", "fp16" if "fp16" in words else "fp32", mode
    if test == "test_row_of_the_language_model":
        return "llama.cpp", "on a GPU" if "gpu" in words else "on the CPU", mode
    if test != "test_row_of_a_gpu":
        return None
    backend = "tensorrt-rtx" if "rtx" in words else "tensorrt"
    # The longest first: fp16 is the beginning of fp16-padded.
    names = sorted((flavour.name for flavour in FLAVOURS), key=len, reverse=True)
    return backend, next(name for name in names if name in words), mode


def _outcome(report: Any) -> Row | str:
    found = next((value for name, value in report.user_properties if name == "row"), None)
    if found is not None:
        return Row(*found)
    if report.skipped:
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    line = crash.message.splitlines()[0] if crash else str(report.longreprtext).splitlines()[-1]
    return f"failed, {line.removeprefix('Failed: ')}"
