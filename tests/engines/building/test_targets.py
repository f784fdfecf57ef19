"""The table of targets: what is in it, and what is refused with which reason."""

from __future__ import annotations

import pytest

from uhd_edge.cli.main import exit_code
from uhd_edge.engines.building import targets
from uhd_edge.engines.building.targets import (
    TARGETS,
    buildable_precisions,
    check_precision,
    find_jetpack,
    find_target,
    find_target_for_gpu,
    for_this_gpu,
)
from uhd_edge.engines.errors import EngineRefusedError, EngineUnavailableError
from uhd_edge.engines.tensorrt.gpu import Gpu

RTX = ("rtx-20", "rtx-30", "rtx-40", "rtx-50")


@pytest.mark.parametrize("name", RTX)
def test_every_rtx_target_is_one_that_tensorrt_rtx_builds_for(name: str) -> None:
    import tensorrt_rtx

    capability = find_target(name).compute_capability
    assert capability is not None
    config = tensorrt_rtx.Builder(tensorrt_rtx.Logger(tensorrt_rtx.Logger.ERROR)).create_builder_config()
    config.num_compute_capabilities = 1
    named = getattr(tensorrt_rtx.ComputeCapability, f"SM{capability.replace('.', '')}")
    assert config.set_compute_capability(named, 0)


@pytest.mark.parametrize("name", ["orin", "thor"])
def test_tensorrt_rtx_does_not_build_for_jetsons_which_therefore_get_kits(name: str) -> None:
    import tensorrt_rtx

    target = find_target(name)
    assert target.compute_capability is not None
    assert not hasattr(tensorrt_rtx.ComputeCapability, f"SM{target.compute_capability.replace('.', '')}")
    assert target.jetpacks


@pytest.mark.parametrize(
    ("name", "version", "tensorrt", "cuda", "python"),
    [
        ("orin", None, "10.3", "12.6", "3.10"),
        ("orin", "6.2", "10.3", "12.6", "3.10"),
        ("orin", "6.2.1", "10.3", "12.6", "3.10"),
        ("orin", "7.2", "10.16", "13.2", "3.12"),
        ("thor", None, "10.13", "13.0", "3.12"),
        ("thor", "7.2", "10.16", "13.2", "3.12"),
    ],
)
def test_a_jetpack_names_its_tensorrt_cuda_and_python(
    name: str, version: str | None, tensorrt: str, cuda: str, python: str
) -> None:
    jetpack = find_jetpack(find_target(name), version)
    assert (jetpack.tensorrt, jetpack.cuda, jetpack.python) == (tensorrt, cuda, python)


@pytest.mark.parametrize(
    ("name", "version", "reason"),
    [
        ("orin", "7.0", "that JetPack is for thor"),
        ("thor", "6.2", "that JetPack is for orin"),
        ("orin", "5.1.2", "TensorRT 8.5 has no strongly typed networks"),
        ("orin", "4.6", "Python 3.6"),
        ("orin", "6.0", "TensorRT 8.6 has no strongly typed networks"),
        ("orin", "9.9", "not in the table"),
        ("orin", "", "not in the table"),
        ("rtx-40", "6.2", "is not a Jetson"),
        ("here", "6.2", "is not a Jetson"),
    ],
)
def test_a_wrong_jetpack_is_refused_with_the_reason(name: str, version: str, reason: str) -> None:
    with pytest.raises(EngineRefusedError, match=reason):
        find_jetpack(find_target(name), version)


@pytest.mark.parametrize(
    ("name", "precision", "reason"),
    [
        ("rtx-20", "fp32", "no FP32 products for compute capability 7.5"),
        ("rtx-20", "fp8", r"7\.5\) has no FP8 units"),
        ("rtx-30", "fp8", r"8\.6\) has no FP8 units"),
        ("orin", "fp8", r"8\.7\) has no FP8 units"),
        ("rtx-40", "fp32", "run on onnxruntime"),
        ("here", "int4", "no such graphs"),
    ],
)
def test_a_precision_that_cannot_work_is_refused_with_the_reason(name: str, precision: str, reason: str) -> None:
    with pytest.raises(EngineRefusedError, match=f"{reason}.*use fp16 or int8"):
        check_precision(find_target(name), precision)


def test_fp8_is_built_for_gpus_with_fp8_units_and_for_a_device_that_is_not_known_yet() -> None:
    buildable = [target.name for target in TARGETS if "fp8" in buildable_precisions(target)]
    assert buildable == ["rtx-40", "rtx-50", "thor", "here"]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_fp16_and_int8_are_built_for_every_target(precision: str) -> None:
    for target in TARGETS:
        check_precision(target, precision)


def test_an_unknown_target_is_answered_with_the_list() -> None:
    with pytest.raises(EngineRefusedError, match=r"unknown target 'rtx-60'; use rtx-20, rtx-30, .*, orin, thor, here"):
        find_target("rtx-60")


@pytest.mark.parametrize(
    ("backend", "capability", "name"),
    [
        ("tensorrt-rtx", "8.6", "rtx-30"),
        ("tensorrt-rtx", "12.0", "rtx-50"),
        ("tensorrt-rtx", "9.0", "here"),
        ("tensorrt", "8.9", "here"),
    ],
)
def test_a_gpu_is_told_which_target_is_its_own(backend: str, capability: str, name: str) -> None:
    assert find_target_for_gpu(backend, capability) == name  # type: ignore[arg-type]


def test_here_is_refused_what_its_gpu_lacks_and_nothing_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "first_gpu", lambda: Gpu("Orin", "8.7"))
    here = for_this_gpu(find_target("here"))
    assert check_precision(here, "int8") == "int8"
    reason = r"here cannot be built in fp8: its GPU \(compute capability 8.7\) has no FP8 units; use fp16 or int8"
    with pytest.raises(EngineRefusedError, match=reason):
        check_precision(here, "fp8")
    assert for_this_gpu(find_target("rtx-50")) == find_target("rtx-50")

    def none() -> Gpu:
        raise EngineUnavailableError("no NVIDIA driver found")

    monkeypatch.setattr(targets, "first_gpu", none)
    assert check_precision(for_this_gpu(find_target("here")), "fp8") == "fp8"


def test_a_build_asks_the_gpu_before_anything_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(targets, "first_gpu", lambda: Gpu("Orin", "8.7"))
    assert exit_code(["build", "uhd-tiny", "--target", "here", "--precision", "nvfp4"]) == 1
    assert capsys.readouterr().err.startswith("uhd: here cannot be built in nvfp4: its GPU (compute capability 8.7)")
