"""A TensorRT engine is compared with FP32 before `auto` uses it, once for each GPU, engine and mode.

An engine that was built on another machine, ahead of time, has never run before. What was found is kept
in the bundle's `engines/verified.json`; `uhd verify` keeps its verdict there too, on more pictures.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from uhd_edge.engines.errors import EngineError, EngineRefusedError
from uhd_edge.engines.tensorrt.gpu import first_gpu
from uhd_edge.runtime.images.synthetic_pictures import synthetic_pictures
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.vision.comparison import compare_view
from uhd_edge.runtime.vision.encoding import encode_views
from uhd_edge.runtime.vision.reference import reference_engines
from uhd_edge.runtime.vision.slicing import plan_views, slice_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import Threshold
    from uhd_edge.runtime.vision.vision_engines import VisionEngines

FILE = "verified.json"


class Verdict(BaseModel):
    """Whether engines (their SHA-256, sorted) agreed with FP32 on a GPU, in one mode."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode
    engines: tuple[str, ...]
    gpu: str
    passed: bool

    def is_about(self, other: Verdict) -> bool:
        """Whether both are about the same engines, GPU and mode."""
        return (self.mode, self.engines, self.gpu) == (other.mode, other.engines, other.gpu)


class _Verdicts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    verdicts: tuple[Verdict, ...] = ()


def check_before_use(
    bundle: Bundle, engines: VisionEngines, records: Sequence[EngineRecord], threads: int | None
) -> str | None:
    """Compare open `engines`, which `records` describe, with FP32 on one drawn view, unless that was done here.

    Returns a line that says what was found, None if it was known. Raises `EngineRefusedError` if the engines
    miss the bundle's threshold, now or when they were last compared, or if there are no FP32 graphs.
    """
    mode, precision = engines.mode, engines.precision
    known = _find(bundle, _about(mode, records, passed=True))
    advice = (
        f"build it again, or compare it on images of yours: uhd verify {bundle.path} IMAGE --engine "
        f"{records[0].backend} --precision {precision}"
    )
    if known is not None and not known.passed:
        raise EngineRefusedError(f"{records[0].path}: differed too much from FP32 in {mode} on this GPU; {advice}")
    if known is not None:
        return None
    if "fp32" not in bundle.manifest.graphs[mode]:
        raise EngineRefusedError(
            f"{records[0].path}: auto uses no engine that was not compared with FP32, and the bundle has no FP32 "
            f"graphs; use it all the same with --engine {records[0].backend}, or export the bundle with FP32"
        )
    began = time.perf_counter()
    try:
        cosine, token_cosine = _compare(bundle, engines, threads)
    except EngineError as error:
        _keep(bundle, _about(mode, records, passed=False))
        raise EngineRefusedError(f"{records[0].path}: failed when it was compared with FP32 ({error})") from error
    threshold: Threshold = getattr(bundle.manifest.thresholds, precision)
    passed = cosine >= threshold.cosine and token_cosine >= threshold.token_cosine
    kept = _keep(bundle, _about(mode, records, passed=passed))
    found = f"cosine {cosine:.5f}, worst token {token_cosine:.5f}, in {time.perf_counter() - began:.1f} s"
    if not passed:
        raise EngineRefusedError(f"{records[0].path}: differs too much from FP32 in {mode} ({found}); {advice}")
    again = "" if kept else f"; {bundle.path} cannot be written, so this is done again each time"
    return (
        f"{mode}: {precision} on {engines.encoder.provider} was compared with FP32 before its first use: {found}{again}"
    )


def keep_verdict(bundle: Bundle, mode: Mode, records: Sequence[EngineRecord], *, passed: bool) -> None:
    """Keep what a comparison of these engines with FP32 found, for `check_before_use`."""
    _keep(bundle, _about(mode, records, passed=passed))


def _about(mode: Mode, records: Sequence[EngineRecord], *, passed: bool) -> Verdict:
    gpu = first_gpu()
    engines = {record.engine.sha256 for record in records if record.compute_capability == gpu.compute_capability}
    return Verdict(mode=mode, engines=tuple(sorted(engines)), gpu=gpu.name, passed=passed)


def _compare(bundle: Bundle, engines: VisionEngines, threads: int | None) -> tuple[float, float]:
    """Return the cosine of a drawn view, and that of its worst token."""
    preprocessing, mode = bundle.manifest.preprocessing, engines.mode
    name, picture = synthetic_pictures(preprocessing.scale_resolution)[0]
    plan = plan_views(*picture.size, preprocessing, mode=mode, max_slices=1)
    views = slice_image(picture, plan).views
    (given,) = encode_views(engines, views, {})
    with reference_engines(bundle, mode, threads) as reference:
        (expected,) = encode_views(reference, views, {})
    compared = compare_view(expected, np.asarray(given), picture=name, view="the thumbnail", mode=mode)
    return compared.cosine, compared.token_cosine


def _file(bundle: Bundle) -> Path:
    return bundle.path / "engines" / FILE


def _read(bundle: Bundle) -> tuple[Verdict, ...]:
    """Read what is known; a file that is missing or damaged knows nothing."""
    try:
        return _Verdicts.model_validate_json(_file(bundle).read_bytes()).verdicts
    except (OSError, ValidationError):
        return ()


def _find(bundle: Bundle, about: Verdict) -> Verdict | None:
    return next((verdict for verdict in _read(bundle) if verdict.is_about(about)), None)


def _keep(bundle: Bundle, verdict: Verdict) -> bool:
    """Write a verdict in place of an earlier one; returns whether the bundle could be written."""
    from uhd_edge.engines.building.engine_record import write_whole

    others = tuple(known for known in _read(bundle) if not known.is_about(verdict))
    content = _Verdicts(verdicts=(*others, verdict)).model_dump_json(indent=2) + "\n"
    try:
        write_whole(_file(bundle), content.encode())
    except OSError:
        return False
    return True
