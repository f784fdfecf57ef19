"""CUDA and cuDNN that pip has installed: ONNX Runtime's own function loads them before its CUDA provider needs them."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import onnxruntime
import pytest
from support.linear_graph import save_linear

from uhd_edge.engines.errors import EngineUnavailableError
from uhd_edge.engines.onnxruntime import CPU, CUDA, OnnxRuntimeEngine, load_cuda, offered_providers, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names and places of libraries are those of Linux")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One of CUDA's libraries where pip puts it: some other one under its name, for an ONNX Runtime of CUDA 13.

    There is no GPU, and the package lists the provider all the same, as onnxruntime-gpu does.
    """
    if CUDA in offered_providers():
        pytest.skip("this is onnxruntime-gpu, which has libraries of its own")
    real = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_shared.so"
    library = tmp_path / "site-packages" / "nvidia" / "cu13" / "lib" / "libcudart.so.13"
    library.parent.mkdir(parents=True)
    shutil.copyfile(real, library)
    (tmp_path / "site-packages" / "onnxruntime").mkdir()
    monkeypatch.setattr(onnxruntime, "__file__", str(tmp_path / "site-packages" / "onnxruntime" / "__init__.py"))
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    load_cuda.cache_clear()
    yield library
    load_cuda.cache_clear()


def is_loaded(library: Path) -> bool:
    return str(library) in Path("/proc/self/maps").read_text()


def test_they_are_loaded_before_the_provider_is_and_what_is_missing_is_in_the_error(
    installed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    graph = save_linear(tmp_path / "linear.onnx")
    assert not is_loaded(installed)
    with pytest.raises(EngineUnavailableError) as caught:
        OnnxRuntimeEngine(graph, threads=1, providers=(CUDA, CPU))
    assert is_loaded(installed)
    assert re.search(r"are missing \(Failed to load libcublasLt\.so\.13: .*\); install them, or use", str(caught.value))
    assert "libcudart" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().out == ""


def test_on_a_cpu_nothing_is_loaded(installed: Path, tmp_path: Path) -> None:
    with OnnxRuntimeEngine(save_linear(tmp_path / "linear.onnx"), threads=1):
        assert not is_loaded(installed)


def test_an_older_onnxruntime_has_no_such_function(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(onnxruntime, "preload_dlls")
    assert load_cuda() == ""
    assert not is_loaded(installed)


def test_a_failure_of_cuda_is_told_and_not_the_signatures_before_it() -> None:
    """As onnxruntime-gpu 1.31.1 says that it sees no GPU."""
    place = "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 "
    signature = "std::conditional_t<THRW, void, Status> onnxruntime::CudaCall(ERRTYPE, const char*, const char*, int) "
    types = "[with ERRTYPE = cudaError; bool THRW = true; std::conditional_t<THRW, void, common::Status> = void] "
    reasons = (
        "CUDA failure 100: no CUDA-capable device is detected",
        "CUDNN_FE failure 11: CUDNN_BACKEND_API_FAILED",
    )
    where = " ; GPU=-1 ; hostname=host ; file=cuda_execution_provider.cc ; line=355 ; expr=cudaSetDevice(device_id); \n"
    for reason in reasons:
        assert one_line(RuntimeError(2 * (place + signature + types) + reason + where)) == reason
    assert one_line(RuntimeError("a graph\n of another kind; it fails")) == "a graph of another kind; it fails"
