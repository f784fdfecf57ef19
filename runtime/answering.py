"""One question on its way: decode, lay out, check the room, encode, prefill, generate."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from uhd_edge.runtime import vision
from uhd_edge.runtime.answer import Answer, Usage
from uhd_edge.runtime.budget import PromptPlan, PromptSize, prompt_size, require_room
from uhd_edge.runtime.image import load_image
from uhd_edge.runtime.prompt import fill, user_message
from uhd_edge.runtime.schema import parsed_by
from uhd_edge.runtime.stages import timed
from uhd_edge.runtime.streaming import TextStream

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from PIL import Image

    from uhd_edge.runtime.answer import Request
    from uhd_edge.runtime.bundle import Manifest
    from uhd_edge.runtime.llm import LanguageModel
    from uhd_edge.runtime.planner import Planner
    from uhd_edge.runtime.planning import Plan
    from uhd_edge.runtime.prompt import ImageSlot, TextSegment
    from uhd_edge.runtime.streaming import FinishReason
    from uhd_edge.runtime.vision import Encoded, VisionEncoder


# In the order of an answer, those of `Encoded` first.
STAGES = (*vision.STAGES, "prompt", "prefill", "first_token", "generate", "total")


class Answering:
    """One request being worked off, once, with an encoder and a language model that stay open."""

    def __init__(
        self, request: Request, manifest: Manifest, encoder: VisionEncoder, model: LanguageModel, planner: Planner
    ) -> None:
        self._request = request
        self._planner = planner
        self._plan: Plan | None = None
        self._manifest = manifest
        self._encoder = encoder
        self._model = model
        self._start = 0.0
        self._timings = dict.fromkeys(STAGES, 0.0)
        self._size = PromptSize(0, 0)
        self._encoded: list[Encoded] = []
        self._finish_reason: FinishReason = "length"
        self._completion_tokens = 0

    def steps(self) -> Generator[str, None, Answer]:
        """Yield after every step that takes a while: a piece of the answer's text, empty where there is none yet.

        Closing the generator between two steps ends the answer there and does no harm. It
        returns the whole answer.
        """
        request, timings = self._request, self._timings
        if request.budget is not None:  # measured, if need be, before the question's time begins
            self._planner.learn(request.budget.modes)
        self._start = time.perf_counter()
        with timed(timings, "decode"):
            images = [load_image(image) for image in request.images]
        yield ""
        with timed(timings, "prompt"):
            sizes = [image.size for image in images]
            self._request, self._plan = self._planner.fitted(request, sizes, spent=self._elapsed)
            layout = self._lay_out(images)
        for image in images:
            self._encoded.append(self._encode(image))
            yield ""
        with timed(timings, "prefill"):
            self._model.clear()
            self._model.prefill(fill(layout, [image.embeddings for image in self._encoded]))
        grammar = None if request.schema is None else request.schema.grammar
        with closing(self._model.generate(request.sampling, max_tokens=request.max_tokens, grammar=grammar)) as tokens:
            stop_ids = self._manifest.prompt.stop_ids
            stream = TextStream(self._noting_the_first(tokens), self._model.vocabulary, stop_ids)
            text = ""
            for piece in stream:
                text += piece
                yield piece
        self._finish_reason, self._completion_tokens = stream.finish_reason, stream.completion_tokens
        timings["total"] = self._elapsed()
        timings["generate"] = timings["total"] - timings["first_token"]
        answer = self._answer(text)
        return answer if request.schema is None else replace(answer, parsed=parsed_by(request.schema, answer))

    def _answer(self, text: str) -> Answer:
        return Answer(
            text=text.strip(),
            finish_reason=self._finish_reason,
            usage=Usage(self._size.vision, self._size.total, self._completion_tokens),
            views=tuple(view for image in self._encoded for view in image.views),
            timings=dict(self._timings),
            mode=self._request.mode,
            plan=self._plan,
        )

    def _lay_out(self, images: Sequence[Image.Image]) -> list[TextSegment | ImageSlot]:
        """Lay out the prompt and make sure that it fits, before the expensive part begins."""
        request = self._request
        if request.schema is not None:
            self._model.require_grammar(request.schema.grammar)
        messages = [user_message(request.question, images=len(images))]
        plan = PromptPlan(messages, [image.size for image in images], self._manifest, request.mode)
        layout = plan.layout(request.max_slices)
        self._size = prompt_size(layout, self._model)
        require_room(self._size, plan, request.max_slices, self._model)
        return layout

    def _encode(self, image: Image.Image) -> Encoded:
        request = self._request
        encoded = self._encoder.encode(image, mode=request.mode, max_slices=request.max_slices)
        for stage, milliseconds in encoded.timings.items():
            self._timings[stage] += milliseconds
        return encoded

    def _noting_the_first(self, tokens: Iterator[int]) -> Iterator[int]:
        for token in tokens:
            if not self._timings["first_token"]:
                self._timings["first_token"] = self._elapsed()
            yield token

    def _elapsed(self) -> float:
        return 1e3 * (time.perf_counter() - self._start)
