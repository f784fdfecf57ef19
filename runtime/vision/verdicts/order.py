"""Which TensorRT engines `auto` takes: the faster ones, where that was measured."""

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


def fastest_first(bundle: Bundle, mode: Mode, choices: Sequence[Choice], built: Sequence[EngineRecord]) -> list[Choice]:
    """Put the TensorRT engines among `choices` in the order of their times on this GPU, if all were measured here.

    INT8 is slower than FP16 on some boards, so where it was not measured, FP16 stays before it.
    """
    engines = [choice for choice in choices if choice.engine in BACKENDS]
    times = {choice: time for choice in engines if (time := milliseconds(bundle, mode, choice, built)) is not None}
    if len(engines) < 2 or len(times) < len(engines):
        return list(choices)
    fastest, *slower = sorted(times, key=lambda choice: times[choice])
    said = ", ".join(f"{choice.precision.upper()} {times[choice]:.3g} ms" for choice in (fastest, *slower))
    others = [choice for choice in choices if choice not in times]
    return [replace(fastest, reason=f"one view takes {said} on this GPU"), *slower, *others]


def milliseconds(bundle: Bundle, mode: Mode, choice: Choice, built: Sequence[EngineRecord]) -> float | None:
    """What one view takes the engines of `choice` on this GPU; None if that was not measured here."""
    records = [record for of_graph in select_records(bundle, mode, choice, built) for record in of_graph]
    try:
        known = find_verdict(bundle, verdict_about(mode, records, passed=True))
    except EngineUnavailableError:
        return None
    return known.milliseconds if known is not None and known.passed else None
