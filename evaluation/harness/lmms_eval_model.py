"""The model `uhd_edge` of lmms-eval: `--model uhd_edge --model_args bundle=minicpm/,max_slices=9`.

Imported by lmms-eval alone, because its base class is.
"""

from __future__ import annotations

from typing import Any, Literal, NoReturn

from lmms_eval.api.instance import GenerationResult, TokenCounts  # pyright: ignore[reportMissingImports]
from lmms_eval.api.model import lmms  # pyright: ignore[reportMissingImports]
from lmms_eval.protocol import ChatMessages  # pyright: ignore[reportMissingImports]
from tqdm import tqdm  # pyright: ignore[reportMissingModuleSource]  # comes with lmms-eval

from uhd_edge.engines.names import EngineName
from uhd_edge.evaluation.harness.asking import Turn, answer_turns, generation_options
from uhd_edge.runtime.assistant import Assistant
from uhd_edge.runtime.modes import Mode, Precision

NOT_ASKED = "uhd-edge generates answers; this task wants something else of the model"


class UhdEdge(lmms):  # type: ignore[misc]  # lmms-eval comes without types
    """An `Assistant` as lmms-eval's model; the arguments are the assistant's.

    `batch_size`, `max_batch_size` and `device` come from lmms-eval's command line and change nothing: questions are
    asked one after the other, on what `engine` says. A question's image or video stands where the task puts it.
    """

    is_simple = False

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
        batch_size: object = None,
        max_batch_size: object = None,
        device: object = None,
    ) -> None:
        super().__init__()
        del batch_size, max_batch_size, device
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

    def generate_until(self, requests: list[Any]) -> list[GenerationResult]:
        """Answer requests of the type `generate_until`, in their order."""
        return [self._answer(request.args) for request in tqdm(requests, desc="uhd-edge", disable=self.rank != 0)]

    def generate_until_multi_round(self, requests: list[Any]) -> NoReturn:
        """Raises `NotImplementedError`: rounds are not offered."""
        raise NotImplementedError(f"{NOT_ASKED} (several rounds)")

    def loglikelihood(self, requests: list[Any]) -> NoReturn:
        """Raises `NotImplementedError`: likelihoods are not offered."""
        raise NotImplementedError(f"{NOT_ASKED} (loglikelihood)")

    def _answer(self, arguments: tuple[Any, ...]) -> GenerationResult:
        _, doc_to_messages, generation, number, task, split = arguments
        chat = ChatMessages(messages=doc_to_messages(self.task_dict[task][split][number]))
        turns: list[Turn] = [
            (message.role, [(part.type, part.text if part.type == "text" else part.url) for part in message.content])
            for message in chat.messages
        ]
        name = f"{task} {split} {number}"
        answer = answer_turns(self._assistant, turns, generation_options(generation), name=name)
        if answer is None:
            return GenerationResult(text="")
        usage = answer.usage
        return GenerationResult(answer.text, TokenCounts(usage.prompt_tokens, usage.completion_tokens))
