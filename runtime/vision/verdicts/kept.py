"""The verdicts of a bundle, in `engines/verified.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from uhd_edge.engines.tensorrt.fused_attention import FusedAttention
from uhd_edge.engines.tensorrt.gpu import first_gpu
from uhd_edge.runtime.modes import Mode

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
    """Read what is known; a file that is missing or damaged knows nothing."""
    try:
        return _Verdicts.model_validate_json(_file(bundle).read_bytes()).verdicts
    except (OSError, ValidationError):
        return ()


def find_verdict(bundle: Bundle, about: Verdict) -> Verdict | None:
    """Find what is known about the engines, GPU and mode of `about`."""
    return next((verdict for verdict in read_verdicts(bundle) if verdict.is_about(about)), None)


def keep_verdict(bundle: Bundle, verdict: Verdict) -> bool:
    """Write a verdict in place of an earlier one; returns whether the bundle could be written."""
    from uhd_edge.engines.building.engine_record import write_whole

    others = tuple(known for known in read_verdicts(bundle) if not known.is_about(verdict))
    content = _Verdicts(verdicts=(*others, verdict)).model_dump_json(indent=2) + "\n"
    try:
        write_whole(_file(bundle), content.encode())
    except OSError:
        return False
    return True


def _file(bundle: Bundle) -> Path:
    return bundle.path / "engines" / FILE
