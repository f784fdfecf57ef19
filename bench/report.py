"""The results of a measurement, as values and as JSON."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from uhd_edge.bench.configuration import Configuration, Settings
    from uhd_edge.bench.machine import Machine
    from uhd_edge.bench.worker import Sample

# In the order in which an answer is made. `encoder_per_view` is `encoder` divided by the number of views.
# `first_token` is the time from the question to the first token and includes everything above it.
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
    """The values of all rounds, in the order of the rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def lowest(self) -> float:
        """The lowest value."""
        return min(self.values)

    @property
    def highest(self) -> float:
        """The highest value."""
        return max(self.values)

    def as_object(self) -> dict[str, Any]:
        """The median, lowest and highest value, and all values, for JSON."""
        named = {"median": self.median, "lowest": self.lowest, "highest": self.highest}
        return {name: round(value, 4) for name, value in named.items()} | {
            "values": [round(value, 4) for value in self.values]
        }


@dataclass(frozen=True)
class Measured:
    """The results of one configuration.

    `stages` has the milliseconds of each of `STAGES`. `peak_memory` is in bytes. `precision` and
    `provider` are those that really ran; `language_model` is where llama.cpp ran the other half: "CPU",
    or a GPU and the layers on it. `tokens_per_second` is the speed of the tokens after the
    first; it is None if the answer had only one.
    """

    configuration: Configuration
    precision: str
    provider: str
    language_model: str
    views: int
    vision_tokens: int
    prompt_tokens: int
    completion_tokens: int
    stages: Mapping[str, Spread]
    tokens_per_second: Spread | None
    peak_memory: int

    @property
    def label(self) -> str:
        """A short label: mode, precision and engine."""
        engine = self.configuration.engine
        shown = self.provider.removesuffix("ExecutionProvider") if engine == "auto" else engine
        return f"{self.configuration.mode} {self.precision} {shown}"

    def as_object(self) -> dict[str, Any]:
        """The results for JSON, with milliseconds by stage."""
        configuration = self.configuration
        return {
            "size": configuration.picture.name,
            "mode": configuration.mode,
            "precision": self.precision,
            "engine": configuration.engine,
            "provider": self.provider,
            "language_model": self.language_model,
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
    """Everything that was measured with a bundle, and the machine it was measured on."""

    bundle: str
    machine: Machine
    settings: Settings
    measured: tuple[Measured, ...]
    notes: tuple[str, ...]

    def as_object(self) -> dict[str, Any]:
        """The object that `uhd bench --json` prints."""
        return {
            "bundle": self.bundle,
            "machine": asdict(self.machine),
            "settings": asdict(self.settings),
            "measured": [one.as_object() for one in self.measured],
            "notes": list(self.notes),
        }


def summarize(configuration: Configuration, samples: Sequence[Sample], peak_memory: int) -> Measured:
    """Combine the rounds of one configuration."""
    last = samples[-1]
    rates = tuple(rate for sample in samples if (rate := sample.tokens_per_second) is not None)
    return Measured(
        configuration=configuration,
        precision=last.precision,
        provider=last.provider,
        language_model=last.language_model,
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
