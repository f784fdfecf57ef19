"""Measuring: every stage of every configuration is there, they take turns, and what cannot run is one line."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from uhd_edge.bench import rounds as bench_rounds
from uhd_edge.bench.configuration import Configuration, Picture, Settings, configurations
from uhd_edge.bench.errors import BenchError
from uhd_edge.bench.memory import available_memory, peak_memory
from uhd_edge.bench.pictures import drawn_picture, picture_of
from uhd_edge.bench.plot import write_plot
from uhd_edge.bench.process import MeasuringProcess
from uhd_edge.bench.report import STAGES, BenchReport, Spread
from uhd_edge.bench.rounds import run_bench
from uhd_edge.bench.table import number, table
from uhd_edge.cli import main as cli
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import ContextError, ImageError, OptionError, UhdError
from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.vision.encoder import VisionEncoder

SMALL, SLICED = drawn_picture(224, 224), drawn_picture(448, 300)
ONCE = Settings(rounds=1, warm_up=0, max_tokens=4, threads=1)


@pytest.fixture(scope="module")
def report() -> BenchReport:
    every = configurations([SMALL, SLICED], ["16x", "4x"], ["fp32"], ["onnxruntime"])
    return run_bench(Bundle.open(), every, replace(ONCE, rounds=2))


def test_every_picture_is_measured_in_every_mode_precision_and_engine() -> None:
    every = configurations([SMALL, SLICED], ["16x", "4x", "16x"], ["auto", "int8"], ["onnxruntime"])
    assert [(one.picture.name, one.mode, one.precision) for one in every] == [
        (size, mode, precision)
        for size in ("224x224", "448x300")
        for mode in ("16x", "4x")
        for precision in ("auto", "int8")
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((["8x"], ["auto"], ["auto"]), "no mode '8x'; valid are 16x, 4x"),
        ((["16x"], ["fp64"], ["auto"]), "no precision 'fp64'"),
        ((["16x"], ["auto"], ["abacus"]), "no engine 'abacus'"),
        (([], ["auto"], ["auto"]), "no mode given"),
    ],
)
def test_a_name_that_does_not_exist_is_answered_with_those_that_do(names: tuple[Any, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        configurations([SMALL], *names)


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"warm_up": -1}, {"max_tokens": 0}, {"threads": 0}, {"context": 1}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(OptionError):
        Settings(**wrong)  # type: ignore[arg-type]


def test_every_stage_of_every_configuration_has_a_value_for_every_round(report: BenchReport) -> None:
    assert len(report.measured) == 4
    for measured in report.measured:
        assert list(measured.stages) == list(STAGES)
        assert all(len(spread.values) == 2 and spread.lowest > 0 for spread in measured.stages.values())
        assert measured.tokens_per_second is not None
        assert measured.peak_memory > 50e6


def test_a_stage_is_a_part_of_the_time_to_the_first_token(report: BenchReport) -> None:
    for measured in report.measured:
        of_one_round = {stage: spread.values[0] for stage, spread in measured.stages.items()}
        parts = sum(of_one_round[stage] for stage in STAGES if stage not in ("encoder_per_view", "first_token"))
        assert parts <= of_one_round["first_token"]
        assert of_one_round["encoder_per_view"] == pytest.approx(of_one_round["encoder"] / measured.views)


def test_views_and_tokens_are_those_that_the_encoder_makes(report: BenchReport) -> None:
    with VisionEncoder(threads=1) as encoder:
        for one in report.measured:
            seen = encoder.encode(one.configuration.picture.data, mode=one.configuration.mode)
            assert (one.views, one.vision_tokens) == (len(seen.views), len(seen.embeddings))
            assert (one.precision, one.provider) == ("fp32", "CPUExecutionProvider")


def test_json_has_what_was_measured_and_on_what(report: BenchReport) -> None:
    answer = json.loads(json.dumps(report.as_object()))
    assert set(answer) == {"bundle", "machine", "settings", "measured", "notes"}
    assert answer["settings"] == {
        "rounds": 2,
        "warm_up": 0,
        "max_tokens": 4,
        "threads": 1,
        "context": 4096,
        "max_slices": None,
    }
    assert answer["machine"]["usable_cores"] >= 1
    for package in ("llama-cpp-python", "onnxruntime-ep-openvino"):
        installed = importlib.util.find_spec(package.replace("-", "_").removesuffix("_python")) is not None
        assert (package in answer["machine"]["packages"]) == installed
    first = answer["measured"][0]
    assert (first["size"], first["mode"], first["engine"]) == ("224x224", "16x", "onnxruntime")
    assert set(first["timings_ms"]) == set(STAGES)
    assert set(first["timings_ms"]["encoder"]) == {"median", "lowest", "highest", "values"}
    assert len(first["tokens_per_second"]["values"]) == 2


def test_the_table_has_a_block_for_each_size_and_a_row_for_each_stage(report: BenchReport) -> None:
    first, second = table(report).split("\n\n")[1:]
    assert first.startswith("224x224")
    assert second.startswith("448x300")
    for label in ("decode", "  per view", "prefill", "first token", "tokens per second", "peak memory, MB"):
        assert f"\n{label}" in first
    assert "16x fp32 onnxruntime" in first.splitlines()[0]


def test_a_block_has_no_more_columns_than_a_terminal_takes(report: BenchReport) -> None:
    many = replace(report, measured=report.measured[:1] * 6)
    _, *blocks = table(many).split("\n\n")
    assert [block.splitlines()[0].count("onnxruntime") for block in blocks] == [4, 2]


def test_an_answer_of_one_token_has_no_speed(report: BenchReport) -> None:
    silent = replace(report.measured[0], tokens_per_second=None)
    assert silent.as_object()["tokens_per_second"] is None
    assert "\ntokens per second\n" in table(replace(report, measured=(silent,)))


def test_the_plot_is_a_png_that_grows_with_what_was_measured(report: BenchReport, tmp_path: Path) -> None:
    write_plot(report, tmp_path / "all.png")
    write_plot(replace(report, measured=report.measured[:1]), tmp_path / "one.png")
    with Image.open(tmp_path / "all.png") as every, Image.open(tmp_path / "one.png") as one:
        assert every.format == "PNG"
        assert every.height > one.height


@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=20))
def test_a_spread_lies_around_its_median(values: list[float]) -> None:
    spread = Spread(tuple(values))
    assert spread.lowest <= spread.median <= spread.highest
    assert spread.as_object()["values"] == [round(value, 4) for value in values]


@pytest.mark.parametrize(("value", "text"), [(0.123, "0.12"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12346")])
def test_numbers_keep_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_configurations_take_turns_in_one_process_for_each_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs is written down in place of being run."""
    log: list[str] = []

    class Written:
        def __init__(self, _bundle: Path, first: Configuration, _settings: Settings) -> None:
            self.name = f"{first.precision}:"
            log.append(f"open {self.name}")

        def __enter__(self) -> Written:
            return self

        def __exit__(self, *_: object) -> None:
            log.append(f"close {self.name}")

        def measure(self, configuration: Configuration) -> Any:
            log.append(self.name + configuration.mode)
            return "sample"

    monkeypatch.setattr(bench_rounds, "MeasuringProcess", Written)
    every = configurations([SMALL], ["16x", "4x"], ["fp32", "fp16"], ["auto"])
    samples = bench_rounds._in_turns(Bundle.open(), every, Settings(rounds=2, warm_up=1), lambda _: None)
    turn = ["fp32:16x", "fp16:16x", "fp32:4x", "fp16:4x"]
    warm_up = ["open fp32:", turn[0], "open fp16:", *turn[1:]]
    assert log == [*warm_up, *turn, *turn, "close fp16:", "close fp32:"]
    assert [len(of_one) for of_one in samples.values()] == [2] * 4


def test_more_than_the_free_memory_is_refused_before_anything_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    big, small = configurations([SMALL], ["16x", "4x"], ["fp32"], ["auto"])
    monkeypatch.setattr(bench_rounds, "available_memory", lambda: 5_000_000_000)
    bench_rounds._require_memory({big: 3_000_000_000, small: 1_999_999_999})
    with pytest.raises(BenchError, match=r"up to 5\.1 GB of memory, 5\.0 GB are free"):
        bench_rounds._require_memory({big: 3_000_000_000, small: 2_100_000_000})


def test_what_the_bundle_lacks_is_told_before_anything_is_measured() -> None:
    told: list[str] = []
    every = configurations([SMALL], ["16x"], ["fp32", "int8"], ["auto"])
    with pytest.raises(UhdError, match="no 16x graphs in int8"):
        run_bench(Bundle.open(), every, ONCE, progress=told.append)
    assert told == []


def test_sizes_of_one_mode_share_the_memory_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    small, sliced = configurations([SMALL, SLICED], ["16x"], ["fp32"], ["auto"])
    monkeypatch.setattr(bench_rounds, "available_memory", lambda: 3_500_000_000)
    bench_rounds._require_memory({small: 3_000_000_000, sliced: 3_400_000_000})


def with_picture(data: bytes) -> Configuration:
    return Configuration(Picture(1, 1, data), "16x", "auto", "auto")


@pytest.mark.parametrize(
    ("configuration", "settings", "error"),
    [
        (with_picture(b"no picture"), ONCE, ImageError),
        (with_picture(SMALL.data), replace(ONCE, context=8), ContextError),
        (replace(with_picture(SMALL.data), precision="int8"), ONCE, UhdError),
    ],
)
def test_an_error_of_the_process_is_raised_here(
    configuration: Configuration, settings: Settings, error: type[UhdError]
) -> None:
    with (
        MeasuringProcess(Bundle.open().path, configuration, settings) as process,
        pytest.raises(error),
    ):
        process.measure(configuration)


def test_a_process_that_is_killed_is_an_error_that_says_so() -> None:
    configuration = with_picture(SMALL.data)
    with MeasuringProcess(Bundle.open().path, configuration, ONCE) as process:
        (child,) = multiprocessing.active_children()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(
            BenchError, match="was ended by signal 9; the system ends processes so when memory runs out"
        ):
            process.measure(configuration)


def test_no_process_is_left_behind() -> None:
    configuration = with_picture(SMALL.data)
    with pytest.raises(KeyboardInterrupt), MeasuringProcess(Bundle.open().path, configuration, ONCE):
        raise KeyboardInterrupt
    assert not multiprocessing.active_children()


def test_a_process_hears_no_interrupt_from_its_beginning_on_and_its_parent_still_does() -> None:
    """It would print a traceback where the interrupt finds it importing."""
    with MeasuringProcess(Bundle.open().path, with_picture(SMALL.data), ONCE) as process:
        (child,) = multiprocessing.active_children()
        assert signal.SIGINT in blocked_signals(Path(f"/proc/{child.pid}/status"))
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        process.measure(with_picture(SMALL.data))
        assert signal.SIGINT in blocked_signals(Path(f"/proc/{child.pid}/status"))


def blocked_signals(status: Path) -> set[int]:
    (mask,) = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigBlk:")]
    return {number for number in range(1, 65) if int(mask, 16) >> (number - 1) & 1}


def test_peak_memory_is_that_of_the_process_and_not_of_its_parent() -> None:
    """A child of a process that has had 300 MB begins at its own few."""
    ballast = b"x" * 300_000_000
    assert peak_memory() > len(ballast)
    script = "from uhd_edge.bench.memory import peak_memory; print(peak_memory())"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert 5e6 < int(printed) < 150e6


def test_memory_is_read_from_what_the_kernel_says(tmp_path: Path) -> None:
    file = tmp_path / "status"
    file.write_text("VmPeak:\t 9 kB\nVmHWM:\t   1234 kB\nMemAvailable:    77 kB\nHuge:\n")
    assert peak_memory(file) == 1234 * 1024
    assert available_memory(file) == 77 * 1024
    assert available_memory(tmp_path / "none") is None
    assert peak_memory(tmp_path / "none") > 1e6


def test_a_drawn_picture_is_a_file_of_the_size_asked_for_and_the_same_every_time() -> None:
    picture = drawn_picture(300, 200)
    assert load_image(picture.data).size == (300, 200)
    assert picture == drawn_picture(300, 200)


def test_a_picture_file_is_measured_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "picture.jpg"
    file.write_bytes(SLICED.data)
    assert picture_of(str(file)) == SLICED
    with pytest.raises(ImageError):
        picture_of(str(tmp_path))


def test_the_command_measures_a_picture_and_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "picture.jpg"
    file.write_bytes(SMALL.data)
    options = ["--image", str(file), "--modes", "16x", "--rounds", "1", "--warm-up", "0", "--threads", "1"]
    assert cli.exit_code(["bench", *options, "--json", "--plot", str(tmp_path / "plot.png")]) == 0
    captured = capsys.readouterr()
    assert [one["mode"] for one in json.loads(captured.out)["measured"]] == ["16x"]
    assert "round 1 of 1" in captured.err
    assert (tmp_path / "plot.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sizes", "many"],
        ["--sizes", "448x448,"],
        ["--sizes", "0x1"],
        ["--sizes", ""],
        ["--sizes", "1x100000"],
        ["--modes", ""],
        ["--modes", "8x"],
        ["--precisions", "fp64"],
        ["--engines", "abacus"],
        ["--rounds", "0"],
        ["--image", "nowhere.png"],
        ["--synthetic", "gpt", "--sizes", "1x1"],
        ["--plot", "nowhere/plot.png"],
        ["nowhere", "--sizes", "1x1"],
        ["--precisions", "int8", "--sizes", "1x1"],
    ],
)
def test_what_cannot_be_measured_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["bench", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("uhd: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["a", "--synthetic", "b"], ["--image", "a", "--sizes", "1x1"]])
def test_what_excludes_each_other_is_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_code(["bench", *arguments]) == 2
    assert "give only one of" in capsys.readouterr().err
