"""Configurations take turns, and what cannot run is reported before anything is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.bench.small_bench import ONCE, SLICED, SMALL

from uhd_edge.bench import rounds as bench_rounds
from uhd_edge.bench.configuration import Configuration, Settings, configurations
from uhd_edge.bench.errors import BenchError
from uhd_edge.bench.rounds import run_bench
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.errors import UhdError


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
    with pytest.raises(BenchError, match=r"up to 5\.1 GB of memory, but 5\.0 GB are free"):
        bench_rounds._require_memory({big: 3_000_000_000, small: 2_100_000_000})


def test_what_the_bundle_lacks_is_reported_before_anything_is_measured() -> None:
    told: list[str] = []
    every = configurations([SMALL], ["16x"], ["fp32", "int8"], ["auto"])
    with pytest.raises(UhdError, match="no 16x graphs in int8"):
        run_bench(Bundle.open(), every, ONCE, progress=told.append)
    assert told == []


def test_sizes_of_one_mode_share_the_memory_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    small, sliced = configurations([SMALL, SLICED], ["16x"], ["fp32"], ["auto"])
    monkeypatch.setattr(bench_rounds, "available_memory", lambda: 3_500_000_000)
    bench_rounds._require_memory({small: 3_000_000_000, sliced: 3_400_000_000})
