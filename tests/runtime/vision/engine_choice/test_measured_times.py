"""`auto` takes the faster of two precisions where both were measured on this GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.vision.built_engines import Told, build, with_fp8, with_int8

from uhd_edge.cli.commands.build import _say_which_auto_takes
from uhd_edge.cli.commands.inspect import _engines
from uhd_edge.engines.building.engine_record import find_engines
from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.tensorrt import engine as tensorrt_module
from uhd_edge.engines.tensorrt.fused_attention import FusedAttention
from uhd_edge.engines.tensorrt.gpu import Gpu
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.vision.encoder import VisionEncoder
from uhd_edge.runtime.vision.opening import EngineOpener
from uhd_edge.runtime.vision.verdicts import kept
from uhd_edge.runtime.vision.verdicts.kept import keep_verdict, verdict_about


@pytest.fixture
def both(bundle: Bundle, machine: type[Told]) -> Bundle:
    """A bundle with engines in both precisions."""
    both = with_int8(bundle)
    build(both)
    build(both, precision="int8")
    return both


def took(bundle: Bundle, precision: str, milliseconds: float, *, passed: bool = True) -> None:
    records = [record for record in find_engines(bundle.path) if record.precision == precision]
    verdict = verdict_about("16x", records, passed=passed)
    keep_verdict(bundle, verdict.model_copy(update={"milliseconds": milliseconds}))


def chosen(bundle: Bundle) -> tuple[str, str]:
    choice = EngineOpener(bundle, engine="auto", precision="auto", threads=1, notes=[]).best("16x")
    return choice.precision, choice.reason


def opened(bundle: Bundle) -> tuple[str, list[str]]:
    """The precision that runs 16x, and the notes."""
    with VisionEncoder(bundle, threads=1) as encoder:
        return encoder.open_mode("16x").precision, encoder.notes


def test_at_the_first_start_all_are_compared_and_timed_and_the_fastest_is_taken(
    both: Bundle, machine: type[Told]
) -> None:
    precision, (first, second, last) = opened(both)
    assert first.startswith("16x: fp16 on pretended was compared with FP32 before its first use: cosine 1.00000")
    assert second.startswith("16x: int8 on pretended was compared with FP32 before its first use: cosine 1.00000")
    times = {verdict.engines: verdict.milliseconds for verdict in kept.read_verdicts(both)}
    assert len(times) == 2
    assert None not in times.values()
    assert last.startswith(f"16x runs in {precision} on pretended: one view takes {precision.upper()} ")
    machine.opened.clear()
    assert opened(both) == (precision, [last])
    assert sorted(machine.opened) == [f"{part}-{precision}.engine" for part in ("connector", "encoder")]


def test_an_engine_that_fails_is_left_out_and_the_fastest_of_the_others_is_taken(
    both: Bundle, machine: type[Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Told):
        def __new__(cls, file: Path, *, backend: str) -> Any:
            if "int8" in file.name:
                raise EngineError(f"{file}: out of memory")
            return Told(file, backend=backend)

    three = with_fp8(both)
    build(three, precision="fp8")
    took(three, "fp16", 10.0)
    took(three, "fp8", 5.0)
    monkeypatch.setattr(tensorrt_module, "TensorRtEngine", Failing)
    for _ in range(2):  # it is tried again at each start
        precision, (failure, taken) = opened(three)
        assert precision == "fp8"
        assert failure.endswith("-int8.engine: out of memory")
        assert taken == "16x runs in fp8 on pretended instead: one view takes FP8 5 ms, FP16 10 ms on this GPU"
    monkeypatch.setattr(tensorrt_module, "TensorRtEngine", Told)
    opened(three)
    assert {verdict.passed for verdict in kept.read_verdicts(three)} == {True}
    assert len(kept.read_verdicts(three)) == 3


def test_the_faster_of_what_was_timed_is_taken(both: Bundle) -> None:
    assert chosen(both) == ("fp16", "")
    took(both, "int8", 5.0)
    assert chosen(both) == ("int8", "")
    took(both, "fp16", 8.25)
    assert chosen(both) == ("int8", "one view takes INT8 5 ms, FP16 8.25 ms on this GPU")


def test_int8_that_is_slower_is_not_taken(both: Bundle) -> None:
    took(both, "fp16", 8.0)
    took(both, "int8", 9.5)
    assert chosen(both) == ("fp16", "one view takes FP16 8 ms, INT8 9.5 ms on this GPU")


def test_int8_that_differs_too_much_is_not_taken(both: Bundle) -> None:
    took(both, "fp16", 8.0)
    took(both, "int8", 5.0, passed=False)
    assert chosen(both) == ("fp16", "")


def test_times_of_another_gpu_do_not_count(both: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    took(both, "fp16", 8.0)
    took(both, "int8", 5.0)
    monkeypatch.setattr(kept, "first_gpu", lambda: Gpu("another", "8.9"))
    assert chosen(both) == ("fp16", "")


def test_inspect_shows_the_engines_and_what_they_were_found_to_do(both: Bundle) -> None:
    took(both, "int8", 5.0, passed=False)
    took(both, "fp16", 8.0)
    *_, fp16 = kept.read_verdicts(both)
    keep_verdict(both, fp16.model_copy(update={"fused_attention": FusedAttention(27, 28)}))
    rows = list(_engines(both))
    assert [name for name, _ in rows[:4]] == [
        f"engines/rtx-40/{part}-{precision}.engine"
        for part in ("connector", "encoder")
        for precision in ("fp16", "int8")
    ]
    assert rows[0][1] == "0.0 kB  fp16, TensorRT-RTX 1.7.1 for compute capability 8.9"
    assert rows[4:] == [
        ("16x on pretended", "int8 differs too much from FP32, and auto does not use it, 5 ms a view"),
        ("16x on pretended", "fp16 agrees with FP32, 8 ms a view, 27 of 28 attentions fused"),
    ]


def test_a_build_says_which_auto_takes(both: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    _say_which_auto_takes(both, ["16x", "4x"])
    assert capsys.readouterr().err == ""
    took(both, "fp16", 8.0)
    took(both, "int8", 9.5)
    _say_which_auto_takes(both, ["16x", "4x"])
    assert capsys.readouterr().err == "16x: auto takes fp16: one view takes FP16 8 ms, INT8 9.5 ms on this GPU\n"
