"""What was measured, as values and as JSON."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from uhd_edge.bench.configuration import Configuration, Settings
    from uhd_edge.bench.machine import Machine
    from uhd_edge.bench.worker import Sample

# In the order of an answer. `encoder_per_view` is `encoder` over the number of views, and
# `first_token` the time from the question to the first token, with everything above it.
STAGES = (
    "decode",
    "slice",
    "patches",
    "encoder",
    "encoder_per_view",
    "connector",
    "prompt",
    "prefill",
    "first_token",
)


@dataclass(frozen=True)
class Spread:
    """The values of all rounds, in their order."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The one in the middle."""
        return statistics.median(self.values)

    @property
    def lowest(self) -> float:
        """The least of them."""
        return min(self.values)

    @property
    def highest(self) -> float:
        """The greatest of them."""
        return max(self.values)

    def as_object(self) -> dict[str, Any]:
        """Median, lowest, highest and every value."""
        named = {"median": self.median, "lowest": self.lowest, "highest": self.highest}
        return {name: round(value, 4) for name, value in named.items()} | {
            "values": [round(value, 4) for value in self.values]
        }


@dataclass(frozen=True)
class Measured:
    """One configuration: `stages` are milliseconds by the names in `STAGES`, `peak_memory` bytes.

    `precision` and `provider` are what really ran. `tokens_per_second` counts the tokens
    after the first and is None where the answer had no other.
    """

    configuration: Configuration
    precision: str
    provider: str
    views: int
    vision_tokens: int
    prompt_tokens: int
    completion_tokens: int
    stages: Mapping[str, Spread]
    tokens_per_second: Spread | None
    peak_memory: int

    @property
    def label(self) -> str:
        """Mode, precision and engine in short."""
        engine = self.configuration.engine
        shown = self.provider.removesuffix("ExecutionProvider") if engine == "auto" else engine
        return f"{self.configuration.mode} {self.precision} {shown}"

    def as_object(self) -> dict[str, Any]:
        """JSON's view of it, with milliseconds by stage."""
        configuration = self.configuration
        return {
            "size": configuration.picture.name,
            "mode": configuration.mode,
            "precision": self.precision,
            "engine": configuration.engine,
            "provider": self.provider,
            "views": self.views,
            "vision_tokens": self.vision_tokens,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "timings_ms": {stage: spread.as_object() for stage, spread in self.stages.items()},
            "tokens_per_second": None if self.tokens_per_second is None else self.tokens_per_second.as_object(),
            "peak_memory_bytes": self.peak_memory,
        }


@dataclass(frozen=True)
class BenchReport:
    """Everything that was measured of a bundle, and on what."""

    bundle: str
    machine: Machine
    settings: Settings
    measured: tuple[Measured, ...]
    notes: tuple[str, ...]

    def as_object(self) -> dict[str, Any]:
        """What `uhd bench --json` prints."""
        return {
            "bundle": self.bundle,
            "machine": asdict(self.machine),
            "settings": asdict(self.settings),
            "measured": [one.as_object() for one in self.measured],
            "notes": list(self.notes),
        }


def summarize(configuration: Configuration, samples: Sequence[Sample], peak_memory: int) -> Measured:
    """Put the rounds of one configuration together."""
    last = samples[-1]
    rates = tuple(rate for sample in samples if (rate := sample.tokens_per_second) is not None)
    return Measured(
        configuration=configuration,
        precision=last.precision,
        provider=last.provider,
        views=last.views,
        vision_tokens=last.vision_tokens,
        prompt_tokens=last.prompt_tokens,
        completion_tokens=last.completion_tokens,
        stages={stage: Spread(tuple(_stage(sample, stage) for sample in samples)) for stage in STAGES},
        tokens_per_second=Spread(rates) if rates else None,
        peak_memory=peak_memory,
    )


def _stage(sample: Sample, stage: str) -> float:
    return sample.timings["encoder"] / sample.views if stage == "encoder_per_view" else sample.timings[stage]
