"""The verdicts of a bundle, in `engines/verified.json`; of one that cannot be written, in the user's cache."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from uhd_edge.engines.tensorrt.fused_attention import FusedAttention
from uhd_edge.engines.tensorrt.gpu import first_gpu
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.user_cache import user_cache

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from uhd_edge.engines.building.engine_record import EngineRecord
    from uhd_edge.runtime.bundles.bundle import Bundle

FILE = "verified.json"


class Verdict(BaseModel):
    """Whether engines (their SHA-256, sorted) agreed with FP32 on a GPU, in one mode.

    `milliseconds` is what one view takes them there, encoder and connector together. It and
    `fused_attention` are None where that was not measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode
    engines: tuple[str, ...]
    gpu: str
    passed: bool
    milliseconds: float | None = None
    fused_attention: FusedAttention | None = None

    @property
    def measurements(self) -> list[str]:
        """What was measured, in words."""
        return in_words(self.milliseconds, self.fused_attention)

    def is_about(self, other: Verdict) -> bool:
        """Whether both are about the same engines, GPU and mode."""
        return (self.mode, self.engines, self.gpu) == (other.mode, other.engines, other.gpu)


class _Verdicts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    verdicts: tuple[Verdict, ...] = ()


def in_words(milliseconds: float | None, attention: FusedAttention | None) -> list[str]:
    """Say what was measured of a pair of engines; nothing where nothing was."""
    return [
        *([] if milliseconds is None else [f"{milliseconds:.3g} ms a view"]),
        *([] if attention is None else [str(attention)]),
    ]


def verdict_about(mode: Mode, records: Sequence[EngineRecord], *, passed: bool) -> Verdict:
    """Make a verdict about those engines of `records` that are for this GPU.

    Raises `EngineUnavailableError` without a GPU.
    """
    gpu = first_gpu()
    engines = {record.engine.sha256 for record in records if record.compute_capability == gpu.compute_capability}
    return Verdict(mode=mode, engines=tuple(sorted(engines)), gpu=gpu.name, passed=passed)


def read_verdicts(bundle: Bundle) -> tuple[Verdict, ...]:
    """Read what is known, the user's cache first, which holds what is newer than a bundle that cannot be written.

    A file that is missing or damaged knows nothing.
    """
    cached = _read(_file_in_cache(bundle))
    return (*cached, *(own for own in _read(_file(bundle)) if not any(own.is_about(newer) for newer in cached)))


def find_verdict(bundle: Bundle, about: Verdict) -> Verdict | None:
    """Find what is known about the engines, GPU and mode of `about`."""
    return next((verdict for verdict in read_verdicts(bundle) if verdict.is_about(about)), None)


def keep_verdict(bundle: Bundle, verdict: Verdict) -> bool:
    """Write a verdict in place of an earlier one, into the user's cache where the bundle cannot be written.

    Returns whether it could be kept.
    """
    cached = _file_in_cache(bundle)
    if _write(_file(bundle), verdict):
        cached.unlink(missing_ok=True)
        return True
    with suppress(OSError):  # then writing the file fails too
        cached.parent.mkdir(parents=True, exist_ok=True)
    return _write(cached, verdict)


def _read(file: Path) -> tuple[Verdict, ...]:
    try:
        return _Verdicts.model_validate_json(file.read_bytes()).verdicts
    except (OSError, ValidationError):
        return ()


def _write(file: Path, verdict: Verdict) -> bool:
    from uhd_edge.engines.building.engine_record import write_whole

    others = [known for known in _read(file) if not known.is_about(verdict)]
    content = _Verdicts(verdicts=(*others, verdict)).model_dump_json(indent=2) + "\n"
    try:
        write_whole(file, content.encode())
    except OSError:
        return False
    return True


def _file_in_cache(bundle: Bundle) -> Path:
    """Return where the verdicts of a bundle are that cannot be written: a file for each bundle, by its path."""
    place = hashlib.sha256(os.fsencode(bundle.path.resolve())).hexdigest()[:32]
    return user_cache() / "verified" / f"{place}.json"


def _file(bundle: Bundle) -> Path:
    return bundle.path / "engines" / FILE
