"""Whether an engine can be opened on this machine, as far as that shows without opening it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from uhd_edge.engines.selection import check_tensorrt
from uhd_edge.runtime.errors import EngineError, MissingExtraError
from uhd_edge.runtime.vision.engine_choice import BACKENDS, Choice, choices, select_records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.engines.tensorrt.library import Backend
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.vision.engine_choice import PrecisionChoice


def first_usable(
    bundle: Bundle, mode: Mode, found: Sequence[Choice], built: Sequence[EngineRecord], tell: Callable[[str], None]
) -> Choice:
    """Return the first of `found` that `auto` would not refuse here; the last one if it would refuse all.

    `tell` gets the reasons for those before it.
    """
    for choice in found:
        try:
            _check(bundle, mode, choice, built)
        except (EngineError, MissingExtraError) as error:
            tell(str(error))
        else:
            return choice
    return found[-1]


def require_usable(bundle: Bundle, mode: Mode, engine: Backend, precision: PrecisionChoice) -> None:
    """Raise what opening the TensorRT engines of `mode` would raise, if none can be used here, without opening one.

    That is `EngineUnavailableError`, `EngineRefusedError` or `MissingExtraError`.
    """
    from uhd_edge.engines.building.engine_record import find_engines

    built = find_engines(bundle.path)
    reasons: list[EngineError | MissingExtraError] = []
    for choice in choices(bundle, mode, engine=engine, precision=precision, built=built):
        try:
            _check_fits(bundle, mode, choice, built)
        except (EngineError, MissingExtraError) as error:
            reasons.append(error)
        else:
            return
    raise reasons[-1]


def known_weights(bundle: Bundle) -> dict[Path, str]:
    """Return the digests of the weight files, gigabytes in the real model; graphs are small and hashed again."""
    files = bundle.manifest.files.items()
    return {bundle.path / name: record.sha256 for name, record in files if not name.endswith(".onnx")}


def _check(bundle: Bundle, mode: Mode, choice: Choice, built: Sequence[EngineRecord]) -> None:
    if choice.engine not in BACKENDS:
        return
    from uhd_edge.runtime.vision.verdicts.first_check import check_verdict

    check_verdict(bundle, mode, _check_fits(bundle, mode, choice, built))


def _check_fits(bundle: Bundle, mode: Mode, choice: Choice, built: Sequence[EngineRecord]) -> list[EngineRecord]:
    """Raise what `open_tensorrt` raises before it opens an engine of `choice`; returns the records of both graphs."""
    backend = cast("Backend", choice.engine)
    of_graphs = select_records(bundle, mode, choice, built)
    for graph, records in zip(choice.graphs(bundle, mode), of_graphs, strict=True):
        check_tensorrt(graph, backend=backend, records=records, known_sha256=known_weights(bundle))
    return [record for records in of_graphs for record in records]
