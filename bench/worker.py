"""The process that measures one engine in one precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uhd_edge.bench.errors import BenchError
from uhd_edge.bench.memory import peak_memory
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.errors import UhdError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection
    from pathlib import Path

    from uhd_edge.bench.configuration import Configuration, Settings

QUESTION = "Describe the image."


@dataclass(frozen=True)
class Sample:
    """One run of one configuration.

    `timings` has the milliseconds of each stage, as `Answer.timings_ms` does; `first_token` is the
    time from the question to the first token. `peak_memory` is in bytes, see
    `uhd_edge.bench.memory`. `precision` and `provider` are those that really ran, and
    `language_model` is where llama.cpp ran the other half: "CPU", or a GPU and its layers.
    """

    timings: Mapping[str, float]
    views: int
    vision_tokens: int
    prompt_tokens: int
    completion_tokens: int
    precision: str
    provider: str
    language_model: str
    peak_memory: int
    notes: tuple[str, ...]

    @property
    def tokens_per_second(self) -> float | None:
        """The speed of the tokens after the first; None if there was only one."""
        after_the_first = self.completion_tokens - 1
        return 1e3 * after_the_first / self.timings["generate"] if after_the_first > 0 else None


def serve(connection: Connection, bundle: Path, first: Configuration, settings: Settings) -> None:
    """Open the engine and precision of `first`, then measure the configurations that come through `connection`.

    Each is answered with a `Sample`; None ends the process. All of them have the engine and
    precision of `first`. An error is sent instead of a sample, and ends the process. Ctrl-C is
    handled by the parent, which ends this process.
    """
    try:
        _serve(connection, bundle, first, settings)
    except UhdError as error:
        connection.send(error)
    except (EOFError, BrokenPipeError):
        return  # the parent is gone
    except Exception as error:  # report every error, without a traceback
        connection.send(BenchError(f"unexpected {type(error).__name__} while measuring: {error}"))


def _serve(connection: Connection, bundle: Path, first: Configuration, settings: Settings) -> None:
    with Assistant(
        bundle,
        mode=first.mode,
        engine=first.engine,
        precision=first.precision,
        context=settings.context,
        threads=settings.threads,
        cache_bytes=0,  # without a cache, because otherwise only the first run would encode anything
    ) as assistant:
        while True:
            configuration: Configuration | None = connection.recv()
            if configuration is None:
                return
            connection.send(measure(assistant, configuration, settings))


def measure(assistant: Assistant, configuration: Configuration, settings: Settings) -> Sample:
    """Ask once. The engines of a new mode are opened before that, so that opening is not timed."""
    engines = assistant.encoder.open_mode(configuration.mode)
    answer = assistant.ask(
        configuration.picture.data,
        QUESTION,
        mode=configuration.mode,
        max_slices=settings.max_slices,
        max_tokens=settings.max_tokens,
    )
    return Sample(
        timings=answer.timings_ms,
        views=len(answer.views),
        vision_tokens=answer.usage.vision_tokens,
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens,
        precision=engines.precision,
        provider=engines.encoder.provider,
        language_model=assistant.language_model_place,
        peak_memory=peak_memory(),
        notes=assistant.notes,
    )
