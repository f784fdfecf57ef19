"""Building with this device's own TensorRT: its Python package, or trtexec, which a stand-in plays.

TensorRT's Python package speaks the API of TensorRT-RTX's, so that one stands in for it.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from support.kits import STAND_IN, install
from support.linear_graph import build, what_is_in

from uhd_edge.engines.building import build as building
from uhd_edge.engines.building.engine_record import check_fits
from uhd_edge.engines.building.trtexec import find_trtexec, run_trtexec, unpacked_version
from uhd_edge.engines.errors import EngineBuildError, EngineUnavailableError
from uhd_edge.engines.tensorrt.gpu import Gpu, first_gpu
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.checking.building import engine_orders

tensorrt_rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for x86-64 alone")


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module called tensorrt that builds for a GPU that is not here."""

    class Builder(tensorrt_rtx.Builder):  # type: ignore[misc]
        def create_builder_config(self) -> Any:
            config = super().create_builder_config()
            config.num_compute_capabilities = 1
            config.set_compute_capability(tensorrt_rtx.ComputeCapability.SM86, 0)
            return config

    module = types.ModuleType("tensorrt")
    vars(module).update({name: value for name, value in vars(tensorrt_rtx).items() if not name.startswith("__")})
    vars(module).update(__version__="10.3.0.30", Builder=Builder)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(building, "first_gpu", lambda: Gpu("Orin", "8.7"))


@pytest.mark.usefixtures("tensorrt")
def test_here_builds_with_tensorrts_python_package_and_keeps_a_timing_cache(small: Path) -> None:
    (record,) = build(small, "here")
    assert (record.backend, record.backend_version) == ("tensorrt", "10.3.0.30")
    assert (record.gpu, record.compute_capability) == ("Orin", "8.7")
    assert what_is_in(small, "here") == {"linear.engine", "linear.engine.json", "timing.cache"}
    build(small, "here")


def test_tensorrts_own_settings_bound_the_scratch_memory_and_ask_for_the_names_of_kernels(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read back from what really built: unset, the limit is all memory, and no fused attention is counted."""
    used: list[Any] = []

    class Noting(tensorrt_rtx.Builder):  # type: ignore[misc]
        def build_serialized_network(self, network: Any, config: Any) -> Any:
            workspace = config.get_memory_pool_limit(tensorrt_rtx.MemoryPoolType.WORKSPACE)
            used.append((workspace, config.profiling_verbosity))
            return super().build_serialized_network(network, config)

    monkeypatch.setattr(tensorrt_rtx, "Builder", Noting)
    build(small)
    assert used == [(1 << 30, tensorrt_rtx.ProfilingVerbosity.DETAILED)]


def test_trtexec_is_asked_for_the_same(small: Path, trtexec: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked.txt"
    install(trtexec, f"printf '%s\\n' \"$@\" >'{asked}'\nexec '{sys.executable}' '{STAND_IN}' \"$@\"")
    build(small, "here")
    (workspace,) = re.findall(r"^--memPoolSize=workspace:(\d+)M$", asked.read_text(), re.MULTILINE)
    assert int(workspace) << 20 == 1 << 30
    assert "\n--profilingVerbosity=detailed\n" in asked.read_text()


def test_trtexec_is_found_where_jetpacks_package_installs_it_outside_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def which(program: str, path: str | None = None) -> str | None:
        return f"{path}/{program}" if path == "/usr/src/tensorrt/bin" else None

    monkeypatch.setattr(shutil, "which", which)
    assert find_trtexec() == "/usr/src/tensorrt/bin/trtexec"


def test_a_machine_without_a_driver_has_no_gpu() -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has an NVIDIA driver")
    with pytest.raises(EngineUnavailableError, match="no NVIDIA driver found"):
        first_gpu()


def test_the_gpu_is_what_the_driver_says(monkeypatch: pytest.MonkeyPatch) -> None:
    class Driver:
        code = 0

        def cuInit(self, _flags: int) -> int:  # noqa: N802
            return self.code

        def cuDeviceGet(self, _device: Any, _ordinal: int) -> int:  # noqa: N802
            return 0

        def cuDeviceGetName(self, name: Any, _length: int, _device: Any) -> int:  # noqa: N802
            name.value = b"Orin"
            return 0

        def cuDeviceGetAttribute(self, value: Any, attribute: int, _device: Any) -> int:  # noqa: N802
            value._obj.value = {75: 8, 76: 7}[attribute]
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Driver())
    assert first_gpu() == Gpu("Orin", "8.7")
    monkeypatch.setattr(Driver, "code", 100)
    with pytest.raises(EngineUnavailableError, match="cuInit returned 100"):
        first_gpu()


@pytest.mark.usefixtures("trtexec")
def test_here_builds_with_trtexec_by_documented_flags_alone(qwen3_bundle: Bundle, tmp_path: Path) -> None:
    bundle = Bundle.open(shutil.copytree(qwen3_bundle.path, tmp_path / "bundle"))
    records = build(bundle.path, "here", engine_orders(bundle, modes=["16x"], precision="fp16"))
    assert len(records[0].profiles) == 3
    for record in records:
        assert (record.backend_version, record.compute_capability, record.gpu) == ("10.3.0", "8.7", "Orin")
        check_fits(record, graph=bundle.path / record.graph, backend_version="10.3.0.30", compute_capability="8.7")
    names = {record.path.name for record in records}
    assert what_is_in(bundle.path, "here") == names | {f"{name}.json" for name in names} | {"timing.cache"}


@pytest.mark.usefixtures("trtexec")
@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("fail-build", "exit code 1, Engine could not be created from network; its log is .*linear.log"),
        ("lie", "trtexec failed: Engine could not be created from network"),
        ("crash", r"it was ended by signal 9 \(SIGKILL\), most likely for lack of memory: close other programs"),
        ("abort", r"it was ended by signal 6 \(SIGABRT\), it gave up by itself"),
        ("empty", "reported PASSED but wrote no engine"),
        ("uint8", "quantized to uint8"),
        ("no-version", "does not name the TensorRT version"),
    ],
)
def test_trtexecs_failures_are_errors_and_leave_no_engine(
    small: Path, monkeypatch: pytest.MonkeyPatch, does: str, reason: str
) -> None:
    monkeypatch.setenv("TRTEXEC_DOES", does)
    with pytest.raises(EngineBuildError, match=reason) as caught:
        build(small, "here")
    assert "\n" not in str(caught.value)
    assert what_is_in(small, "here") - {"timing.cache", "linear.log"} == set()


@pytest.mark.usefixtures("trtexec")
def test_a_timing_cache_of_another_tensorrt_is_measured_anew(small: Path) -> None:
    cache = small / "engines/here/timing.cache"
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"of another version")
    (record,) = build(small, "here")
    assert record.backend_version == "10.3.0"
    assert cache.read_bytes() == b"timings"
    assert what_is_in(small, "here") == {"linear.engine", "linear.engine.json", "timing.cache"}


def test_the_stand_in_refuses_a_flag_that_trtexec_10_3_does_not_have(trtexec: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineBuildError, match="Unknown option: --buildOnly"):
        run_trtexec(str(trtexec), ["--onnx=graph.onnx", "--buildOnly"], tmp_path / "log", Path("graph.onnx"))


def test_a_trtexec_that_does_not_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match="no-such-trtexec: cannot be started"):
        run_trtexec(str(tmp_path / "no-such-trtexec"), [], tmp_path / "log", Path("graph.onnx"))


@pytest.mark.parametrize(("packed", "version"), [("100300", "10.3.0"), ("101303", "10.13.3"), ("8502", "8.5.2")])
def test_trtexecs_packed_version_is_read(packed: str, version: str) -> None:
    assert unpacked_version(packed) == version


def test_without_any_tensorrt_here_cannot_be_built(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "find_trtexec", lambda: None)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineUnavailableError, match=r"neither TensorRT's Python package nor trtexec.*--target rtx-40"):
        build(small, "here")
