"""A TensorRT engine is compared with FP32 before `auto` uses it, once for each GPU, engine and mode.

An engine that was built on another machine, ahead of time, has never run before. What was found is kept
in the bundle's `engines/verified.json`, or in the user's cache; `uhd verify` keeps its verdict there too, on more
pictures.
"""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

import numpy as np

from uhd_edge.engines.errors import EngineError, EngineRefusedError, EngineResultError
from uhd_edge.runtime.vision.comparison import compare_view
from uhd_edge.runtime.vision.encoding import encode_views
from uhd_edge.runtime.vision.reference import describe_reference, reference_engines, reference_kind
from uhd_edge.runtime.vision.verdicts.kept import find_verdict, keep_verdict, verdict_about
from uhd_edge.runtime.vision.verdicts.measuring import drawn_view, measured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import Threshold
    from uhd_edge.runtime.modes import Mode
    from uhd_edge.runtime.vision.reference import ReferenceKind
    from uhd_edge.runtime.vision.vision_engines import VisionEngines


def check_before_use(
    bundle: Bundle, engines: VisionEngines, graph: Path, records: Sequence[EngineRecord], threads: int | None
) -> str | None:
    """Compare open `engines`, which `records` describe, with FP32 on one drawn view, unless that was done here.

    `graph` is that of the encoder.

    Returns a line that says what was found, None if it was known. Raises `EngineRefusedError` if the engines
    miss the bundle's threshold, now or when they were last compared, or if there is nothing to compare them with.
    """
    mode, precision = engines.mode, engines.precision
    kind = check_verdict(bundle, mode, records)
    if kind is None:
        return None
    advice = _advice(bundle, records)
    began = time.perf_counter()
    try:
        cosine, token_cosine = _compare(bundle, engines, threads)
    except EngineResultError as error:
        keep_verdict(bundle, verdict_about(mode, records, passed=False))
        raise EngineRefusedError(
            f"{records[0].path}: differs too much from FP32 in {mode} ({error}); {advice}"
        ) from error
    except EngineError as error:  # such as too little memory, which says nothing about the engine
        raise EngineRefusedError(
            f"{records[0].path}: could not be compared with FP32 ({error}); that is tried again at the next start"
        ) from error
    threshold: Threshold = getattr(bundle.manifest.thresholds, precision)
    passed = cosine >= threshold.cosine and token_cosine >= threshold.token_cosine
    verdict = verdict_about(mode, records, passed=passed)
    if passed:
        verdict = measured(bundle, engines, graph, verdict)
    kept = keep_verdict(bundle, verdict)
    found = f"cosine {cosine:.5f}, worst token {token_cosine:.5f}, in {time.perf_counter() - began:.1f} s"
    if not passed:
        raise EngineRefusedError(f"{records[0].path}: differs too much from FP32 in {mode} ({found}); {advice}")
    again = (
        "" if kept else f"; neither {bundle.path} nor the user's cache can be written, so this is done again each time"
    )
    what = f"{precision} on {engines.encoder.provider} was compared with {describe_reference(kind)}"
    return f"{mode}: {what} before its first use: {'; '.join([found, *verdict.measurements])}{again}"


def check_verdict(bundle: Bundle, mode: Mode, records: Sequence[EngineRecord]) -> ReferenceKind | None:
    """Return the kind of graph that engines are to be compared with before they are used, None if they were.

    Raises `EngineRefusedError` if they missed the threshold then, or there is nothing to compare them with, and
    `EngineUnavailableError` without a GPU.
    """
    known = find_verdict(bundle, verdict_about(mode, records, passed=True))
    if known is not None and known.passed:
        return None
    if known is not None:
        raise EngineRefusedError(
            f"{records[0].path}: differed too much from FP32 in {mode} on this GPU; {_advice(bundle, records)}"
        )
    kind = reference_kind(bundle, mode)
    if kind is None:
        raise EngineRefusedError(
            f"{records[0].path}: auto uses no engine that was not compared on the CPU, and the bundle has no FP32 or "
            f"FP16 graphs; use it all the same with --engine {records[0].backend}, or export the bundle with FP32"
        )
    return kind


def _advice(bundle: Bundle, records: Sequence[EngineRecord]) -> str:
    return (
        f"build it again, or compare it on images of yours: uhd verify {shlex.quote(str(bundle.path))} IMAGE "
        f"--engine {records[0].backend} --precision {records[0].precision}"
    )


def _compare(bundle: Bundle, engines: VisionEngines, threads: int | None) -> tuple[float, float]:
    """Return the cosine of a drawn view, and that of its worst token.

    Raises `EngineResultError` if the engine returns what cannot be right, and `EngineError` if it or the
    reference fails.
    """
    mode = engines.mode
    name, views = drawn_view(bundle, engines)
    (given,) = encode_views(engines, views, {})
    try:
        with reference_engines(bundle, mode, threads) as reference:
            (expected,) = encode_views(reference, views, {})
    except EngineResultError as error:  # it is not the engine that was asked
        raise EngineError(str(error)) from error
    compared = compare_view(expected, np.asarray(given), picture=name, view="the thumbnail", mode=mode)
    return compared.cosine, compared.token_cosine
