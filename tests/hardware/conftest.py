"""What the hardware tests need: a GPU, TensorRT and pycuda. Where one is missing they are skipped, and say why.

Run them with `make test-gpu`. They use the built-in uhd-tiny, or the bundle that the
environment variable UHD_BUNDLE names, which is copied and not changed. A bundle that has
been calibrated is tested in INT8 too, and in FP8 and NVFP4 where the GPU has them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from support.hardware.table import Row, table_lines
from support.places import EXAMPLES

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.building.targets import buildable_precisions, find_target, find_target_for_gpu
from uhd_edge.engines.errors import UhdError
from uhd_edge.engines.tensorrt.cuda import CudaDevice
from uhd_edge.engines.tensorrt.gpu import Gpu, first_gpu
from uhd_edge.engines.tensorrt.library import INSTALL, import_tensorrt
from uhd_edge.runtime.bundles.bundle import Bundle

if TYPE_CHECKING:
    from uhd_edge.engines.building.targets import BuiltPrecision
    from uhd_edge.engines.tensorrt.library import Backend
    from uhd_edge.runtime.modes import Precision

PICTURES = sorted(EXAMPLES.glob("*.png"))


@dataclass(frozen=True)
class Flavour:
    """What engines are built as: a precision, and in FP16 the attention heads."""

    precision: BuiltPrecision
    attention: str = "plain"

    @property
    def name(self) -> str:
        """As in the names of tests and in the table."""
        return self.precision if self.attention == "plain" else f"{self.precision}-{self.attention}"

    def __str__(self) -> str:
        return self.name


FLAVOURS = (Flavour("fp16"), Flavour("int8"), Flavour("fp8"), Flavour("nvfp4"), Flavour("fp16", "padded"))


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


class Builds:
    """Engines of this session, each built when it is first asked for; a reason where it cannot be is remembered."""

    def __init__(self, bundle: Bundle, gpu: Gpu, folder: Path) -> None:
        self._bundle, self._gpu, self._folder = bundle, gpu, folder
        self._done: dict[tuple[Backend, Flavour], Built] = {}

    def get(self, backend: Backend, flavour: Flavour) -> Built:
        """Build, or return what was built; skips the test where the card or the bundle does not have it."""
        if (backend, flavour) not in self._done:
            self._done[backend, flavour] = self._build(backend, flavour)
        return self._done[backend, flavour]

    def _build(self, backend: Backend, flavour: Flavour) -> Built:
        source, gpu, precision = self._bundle, self._gpu, flavour.precision
        target = "here" if backend == "tensorrt" else find_target_for_gpu(backend, gpu.compute_capability)
        if backend == "tensorrt-rtx" and target == "here":
            pytest.skip(f"TensorRT-RTX does not build for compute capability {gpu.compute_capability}")
        known = replace(find_target(target), compute_capability=gpu.compute_capability)
        if precision not in buildable_precisions(known):
            pytest.skip(f"compute capability {gpu.compute_capability} has no {precision.upper()} units")
        if flavour.attention == "padded" and importlib.util.find_spec("onnx_ir") is None:
            pytest.skip("padding attention heads needs onnx-ir: pip install 'uhd-edge[pull]'")
        kind = "int8-tensorrt" if precision == "int8" else precision
        if any(kind not in graphs for graphs in source.manifest.graphs.values()):
            pytest.skip(f"{source.path} has no {kind} graphs: name a bundle that has them in UHD_BUNDLE")
        copy = self._folder / f"{backend}-{flavour.name}"
        shutil.copytree(source.path, copy, ignore=shutil.ignore_patterns("engines"), dirs_exist_ok=True)
        options = ["--target", target, "--precision", precision, "--attention", flavour.attention]
        named_pictures = [word for picture in PICTURES for word in ("--image", str(picture))]
        assert exit_code(["build", str(copy), *options, *named_pictures]) == 0
        return Built(Bundle.open(copy), backend, precision)


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
    reports = [report for kind in ("passed", "failed", "skipped") for report in terminalreporter.stats.get(kind, [])]
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
    return f"failed, {str(report.longreprtext).splitlines()[-1]}"
