"""Which TensorRT engines `auto` takes: the fastest of those that agree with FP32 on this GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from uhd_edge.engines.errors import EngineUnavailableError
from uhd_edge.runtime.vision.engine_choice import BACKENDS, Choice, select_records
from uhd_edge.runtime.vision.verdicts.kept import find_verdict, verdict_about

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.vision.verdicts.kept import Verdict


def fastest_first(bundle: Bundle, mode: Mode, choices: Sequence[Choice], built: Sequence[EngineRecord]) -> list[Choice]:
    """Sort the TensorRT engines among `choices`: by their times on this GPU, then those that were not timed here.

    Those that differ too much from FP32 come last of them. Other engines keep their places.
    """
    engines = [choice for choice in choices if choice.engine in BACKENDS]
    verdicts = {choice: _find(bundle, mode, choice, built) for choice in engines}
    failed = [choice for choice, verdict in verdicts.items() if verdict is not None and not verdict.passed]
    times = {
        choice: verdict.milliseconds
        for choice, verdict in verdicts.items()
        if verdict is not None and verdict.passed and verdict.milliseconds is not None
    }
    timed = sorted(times, key=lambda choice: times[choice])
    untimed = [choice for choice in engines if choice not in times and choice not in failed]
    if len(timed) > 1:
        said = ", ".join(f"{choice.precision.upper()} {times[choice]:.3g} ms" for choice in timed)
        timed[0] = replace(timed[0], reason=f"one view takes {said} on this GPU")
    return [*timed, *untimed, *failed, *(choice for choice in choices if choice not in engines)]


def not_compared(bundle: Bundle, mode: Mode, choices: Sequence[Choice], built: Sequence[EngineRecord]) -> list[Choice]:
    """List the TensorRT engines for this GPU that nobody has compared with FP32 and timed on it.

    Where there is but one that may be used there is nothing to choose from, and the list is empty.
    """
    engines = [
        choice for choice in choices if choice.engine in BACKENDS and _is_for_this_gpu(bundle, mode, choice, built)
    ]
    verdicts = {choice: _find(bundle, mode, choice, built) for choice in engines}
    usable = [choice for choice, verdict in verdicts.items() if verdict is None or verdict.passed]
    return [choice for choice in usable if verdicts[choice] is None] if len(usable) > 1 else []


def _is_for_this_gpu(bundle: Bundle, mode: Mode, choice: Choice, built: Sequence[EngineRecord]) -> bool:
    records = [record for of_graph in select_records(bundle, mode, choice, built) for record in of_graph]
    try:
        return bool(verdict_about(mode, records, passed=True).engines)
    except EngineUnavailableError:
        return False


def _find(bundle: Bundle, mode: Mode, choice: Choice, built: Sequence[EngineRecord]) -> Verdict | None:
    """Find what is known of the engines of `choice` on this GPU; None if they were not compared here."""
    records = [record for of_graph in select_records(bundle, mode, choice, built) for record in of_graph]
    try:
        return find_verdict(bundle, verdict_about(mode, records, passed=True))
    except EngineUnavailableError:
        return None
