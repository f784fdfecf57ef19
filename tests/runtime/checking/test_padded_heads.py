"""An encoder is built with padded attention heads too where that can be timed, and the faster engine stays.

A stand-in plays trtexec, and a function the GPU's clock.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from uhd_edge.cli.commands.build import _write_padded
from uhd_edge.cli.main import exit_code
from uhd_edge.engines.building.build import build_engines
from uhd_edge.engines.building.engine_record import check_fits, find_engines
from uhd_edge.engines.building.targets import find_target
from uhd_edge.engines.errors import EngineUnavailableError
from uhd_edge.engines.tensorrt.gpu import Gpu
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.checking import padded_heads
from uhd_edge.runtime.checking.building import engine_orders
from uhd_edge.runtime.checking.padded_heads import why_not_measured, with_faster_heads

if TYPE_CHECKING:
    from uhd_edge.engines.building.engine_record import EngineRecord

HERE = find_target("here")


@pytest.fixture
def bundle(qwen3_bundle: Bundle, tmp_path: Path) -> Bundle:
    return Bundle.open(shutil.copytree(qwen3_bundle.path, tmp_path / "bundle"))


def built(bundle: Bundle, timer: Any, write: Any = _write_padded) -> tuple[list[EngineRecord], list[str]]:
    orders = engine_orders(bundle, modes=["16x", "4x"], precision="fp16")
    records = build_engines(bundle.path, orders, target=HERE, progress=lambda _: None)
    told: list[str] = []
    kept = with_faster_heads(
        bundle.path, orders, records, target=HERE, write_padded=write, timer=timer, progress=told.append
    )
    assert find_engines(bundle.path) == sorted(kept, key=lambda record: record.path)
    assert [file for file in bundle.path.rglob("*") if ".padded" in file.name or "partial" in file.name] == []
    return kept, told


def clock(plain: float, padded: float) -> Any:
    """Tell the engines apart by what the stand-in wrote: the graph's name."""

    def timer(file: Path, backend: str, shapes: dict[str, tuple[int, ...]]) -> float:
        assert backend == "tensorrt"
        assert shapes["patches"] == (10, 64, 588)
        return padded if b".padded" in file.read_bytes() else plain

    return timer


@pytest.mark.usefixtures("trtexec")
@pytest.mark.parametrize(("padded", "kept"), [(8.0, "padded"), (9.9, "plain"), (12.0, "plain")])
def test_the_faster_engine_stays_and_its_record_says_which(bundle: Bundle, padded: float, kept: str) -> None:
    (encoder, connector), told = built(bundle, clock(10.0, padded))
    assert (encoder.attention, connector.attention) == (kept, "plain")
    assert (b".padded" in encoder.path.read_bytes()) == (kept == "padded")
    assert told == [
        "encoder-fp16 with padded attention heads",
        f"encoder-fp16: 10 ms plain, {padded:.3g} ms with padded attention heads: {kept} is kept",
    ]
    check_fits(encoder, graph=bundle.path / encoder.graph, backend_version="10.3.0", compute_capability="8.7")


@pytest.mark.usefixtures("trtexec")
def test_what_cannot_be_timed_or_padded_stays_plain_and_says_why(bundle: Bundle) -> None:
    def without_pycuda(*_: Any) -> float:
        raise EngineUnavailableError("pycuda is missing")

    records, told = built(bundle, without_pycuda)
    assert {record.attention for record in records} == {"plain"}
    assert told == ["encoder-fp16: stays plain; padded attention heads were not measured: pycuda is missing"]

    def without_onnx(graph: Path, file: Path) -> None:
        file.write_bytes(b"half")
        raise EngineUnavailableError("onnx is missing")

    records, told = built(bundle, clock(1.0, 1.0), without_onnx)
    assert {record.attention for record in records} == {"plain"}
    assert told[-1].endswith("were not measured: onnx is missing")


def test_only_the_gpu_that_engines_are_for_times_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padded_heads, "first_gpu", lambda: Gpu("NVIDIA GeForce RTX 4090", "8.9"))
    assert why_not_measured(HERE) is None
    assert why_not_measured(find_target("rtx-40")) is None
    assert why_not_measured(find_target("rtx-50")) == "NVIDIA GeForce RTX 4090 is not what they are for"


@pytest.mark.usefixtures("trtexec")
def test_the_command_pads_when_it_is_told_to(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["build", str(bundle.path), "--target", "here", "--modes", "16x"]
    assert exit_code([*command, "--attention", "padded"]) == 1  # built, but there is no GPU to verify it
    assert [record.attention for record in find_engines(bundle.path)] == ["plain", "padded"]
    assert "padded" not in capsys.readouterr().err
    assert exit_code(command) == 1
    assert [record.attention for record in find_engines(bundle.path)] == ["plain", "plain"]
    assert (
        "attention heads are not padded: there is no GPU here, so nothing can be timed; --attention padded pads them\n"
    ) in capsys.readouterr().err
