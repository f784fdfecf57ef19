"""A model of VLMEvalKit; `register` makes it nameable as `"class": "UhdEdge"` in the JSON of `--config`."""

from __future__ import annotations

from typing import Any, Literal

import vlmeval.vlm  # pyright: ignore[reportMissingImports]
from vlmeval.vlm.base import BaseModel  # pyright: ignore[reportMissingImports]

from uhd_edge.engines.names import EngineName
from uhd_edge.evaluation.harness.asking import answer_turns
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.modes import Mode, Precision


class UhdEdge(BaseModel):  # type: ignore[misc]  # VLMEvalKit comes without types
    """An `Assistant` as VLMEvalKit's model; `max_tokens` and `repetition_penalty` are for every question."""

    INTERLEAVE = True

    def __init__(
        self,
        bundle: str | None = None,
        *,
        mode: Mode | None = None,
        max_slices: int | None = None,
        engine: EngineName = "auto",
        precision: Precision | Literal["auto"] = "auto",
        context: int = 4096,
        threads: int | None = None,
        gpu_layers: int | Literal["auto"] = "auto",
        max_tokens: int = 2048,
        repetition_penalty: float = 1.0,
    ) -> None:
        super().__init__()
        self._max_tokens, self._repetition_penalty = max_tokens, repetition_penalty
        self._assistant = Assistant(
            bundle,
            mode=mode,
            max_slices=max_slices,
            engine=engine,
            precision=precision,
            context=context,
            threads=threads,
            gpu_layers=gpu_layers,
        )

    def generate_inner(self, message: list[dict[str, Any]], dataset: str | None = None) -> str:
        """Answer one question, given as parts of the types text, image (a path) and video (a path)."""
        answer = answer_turns(
            self._assistant,
            [("user", [(part["type"], part["value"]) for part in message])],
            {"max_tokens": self._max_tokens, "repetition_penalty": self._repetition_penalty},
            name=dataset or "a question",
        )
        return "" if answer is None else answer.text


def register() -> None:
    """Put the class where VLMEvalKit's `run.py` looks for the name that a configuration gives."""
    vlmeval.vlm.UhdEdge = UhdEdge
