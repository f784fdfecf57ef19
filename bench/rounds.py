"""Measures configurations: first the memory of each alone, then the times of all in turns.

    each configuration alone, in a process of its own  ->  peak memory
    one process for each engine and precision; a round runs every configuration once  ->  times

Runs are interleaved, so background load and throttling affect all configurations equally. If
each configuration ran in one block, they would affect only the one that is running.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from uhd_edge.bench.errors import BenchError
from uhd_edge.bench.machine import this_machine
from uhd_edge.bench.memory import available_memory
from uhd_edge.bench.process import MeasuringProcess
from uhd_edge.bench.report import BenchReport, summarize
from uhd_edge.runtime.vision.opening import EngineOpener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from uhd_edge.bench.configuration import Configuration, PrecisionName, Settings
    from uhd_edge.bench.worker import Sample
    from uhd_edge.engines.names import EngineName
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode

    # Called with a line that says what is being done.
    Progress = Callable[[str], None]


def run_bench(
    bundle: Bundle,
    configurations: Sequence[Configuration],
    settings: Settings,
    *,
    progress: Progress = lambda _step: None,
) -> BenchReport:
    """Measure every configuration, in the order described above.

    Raises the `UhdError` of a configuration that cannot run, and `BenchError` when the processes
    together need more memory than the machine has free.
    """
    _require_engines(bundle, configurations)
    peaks = {one: _alone(bundle, one, settings, progress) for one in configurations}
    _require_memory(peaks)
    samples = _in_turns(bundle, configurations, settings, progress)
    notes = dict.fromkeys(note for of_one in samples.values() for sample in of_one for note in sample.notes)
    return BenchReport(
        bundle=bundle.manifest.name,
        machine=this_machine(),
        settings=settings,
        measured=tuple(summarize(one, samples[one], peaks[one]) for one in configurations),
        notes=tuple(notes),
    )


def _require_engines(bundle: Bundle, configurations: Sequence[Configuration]) -> None:
    """Check now that the bundle has all that is needed, and not after minutes of measuring."""
    asked: Iterable[tuple[EngineName, PrecisionName, Mode]]
    asked = dict.fromkeys((one.engine, one.precision, one.mode) for one in configurations)
    for engine, precision, mode in asked:
        with closing(EngineOpener(bundle, engine=engine, precision=precision, threads=None, notes=[])) as opener:
            opener.check(mode)


def _alone(bundle: Bundle, configuration: Configuration, settings: Settings, progress: Progress) -> int:
    """The peak memory, in bytes, of a new process that opens everything and answers once."""
    progress(f"memory: {_named(configuration)}")
    with MeasuringProcess(bundle.path, configuration, settings) as process:
        return process.measure(configuration).peak_memory


def _require_memory(peaks: Mapping[Configuration, int]) -> None:
    """Raise `BenchError` if all processes together could need more memory than is free.

    A process opens one mode after the other, so it needs at most the sum of what its modes took alone.
    """
    by_engine: dict[tuple[str, ...], int] = {}
    for one, peak in peaks.items():
        key = one.engine, one.precision, one.mode
        by_engine[key] = max(peak, by_engine.get(key, 0))
    needed, available = sum(by_engine.values()), available_memory()
    if available is not None and needed > available:
        raise BenchError(
            f"measuring these in turns takes up to {needed / 1e9:.1f} GB of memory, but {available / 1e9:.1f} GB "
            "are free; measure fewer modes, precisions or engines at once"
        )


def _in_turns(
    bundle: Bundle, configurations: Sequence[Configuration], settings: Settings, progress: Progress
) -> dict[Configuration, list[Sample]]:
    samples: dict[Configuration, list[Sample]] = {one: [] for one in configurations}
    processes: dict[tuple[str, str], MeasuringProcess] = {}
    with ExitStack() as stack:
        for number in range(-settings.warm_up, settings.rounds):
            progress("warm-up" if number < 0 else f"round {number + 1} of {settings.rounds}")
            for one in configurations:
                key = one.engine, one.precision
                if key not in processes:
                    processes[key] = stack.enter_context(MeasuringProcess(bundle.path, one, settings))
                sample = processes[key].measure(one)
                if number >= 0:
                    samples[one].append(sample)
    return samples


def _named(configuration: Configuration) -> str:
    return (
        f"{configuration.picture.name}, {configuration.mode}, precision {configuration.precision}, "
        f"engine {configuration.engine}"
    )
