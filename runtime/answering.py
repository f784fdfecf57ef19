"""One question on its way: decode, lay out, check the room, encode, prefill, generate."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.answer import Answer, Usage
from uhd_edge.runtime.conversation.fitting import fit_to_context, stable_length
from uhd_edge.runtime.conversation.new_images import new_images, one_view_per_frame
from uhd_edge.runtime.conversation.prompt_tokens import fill_prompt
from uhd_edge.runtime.conversation.turns import Conversation, Question, SeenImage, Turn
from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.stopping import StoppedText
from uhd_edge.runtime.llm.streaming import TextStream
from uhd_edge.runtime.prompt.room import require_room
from uhd_edge.runtime.timing import timed
from uhd_edge.runtime.vision import encoder as vision

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from PIL import Image

    from uhd_edge.runtime.answer import Plan
    from uhd_edge.runtime.budget.planning import Planner
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.fitting import FittedPrompt
    from uhd_edge.runtime.conversation.prompt_memory import PromptMemory
    from uhd_edge.runtime.conversation.request import Request
    from uhd_edge.runtime.conversation.turns import NewImage
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.vision.encoder import Encoded, VisionEncoder
    from uhd_edge.runtime.vision.slicing import SlicePlan


# In the order of an answer, those of `Encoded` first.
STAGES = (*vision.STAGES, "prompt", "prefill", "first_token", "generate", "total")


@dataclass(frozen=True)
class Parts:
    """What stays open while questions are answered."""

    manifest: Manifest
    encoder: VisionEncoder
    model: LanguageModel
    memory: PromptMemory
    planner: Planner


class Answering:
    """One request being worked off, once, at the end of a conversation.

    When `steps` has come to its end, `turns` are those of the conversation after it.
    """

    def __init__(self, request: Request, parts: Parts, conversation: Conversation | None = None) -> None:
        self._request = request
        self._parts = parts
        self._conversation = Conversation() if conversation is None else conversation
        self._plan: Plan | None = None
        self._start = 0.0
        self._timings: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._cached_tokens = 0
        self._encoded_views = 0
        self.turns = self._conversation.turns

    def steps(self) -> Generator[str, None, Answer]:
        """Yield after every step that takes a while: a piece of the answer's text, empty where there is none yet.

        Closing the generator between two steps ends the answer there and does no harm. It
        returns the whole answer.
        """
        request, timings, parts = self._request, self._timings, self._parts
        if request.budget is not None:  # measured, if need be, before the question's time begins
            parts.planner.measure(request.budget.modes)
        self._start = time.perf_counter()
        with timed(timings, "decode"):
            new = [*self._conversation.waiting, *new_images(request.images)]
        yield ""
        with timed(timings, "prompt"):
            laid_out = self._lay_out(new)
        seen = []
        for image, slice_plan in zip(new, laid_out.inputs.slice_plans, strict=True):
            seen.append(self._seen(image, slice_plan))
            yield ""
        yield from self._read(laid_out, seen)
        with closing(self._generated()) as tokens:
            stream = TextStream(tokens, parts.model.vocabulary, parts.manifest.prompt.stop_ids)
            pieces, text = StoppedText(iter(stream), request.stops), ""
            for piece in pieces:
                text += piece
                yield piece
        timings["total"] = self._elapsed()
        timings["generate"] = timings["total"] - timings["first_token"]
        reason = "stop" if pieces.stopped else stream.finish_reason
        answer = replace(self._answer(laid_out, seen, stream, text.strip()), finish_reason=reason)
        if request.schema is not None:
            answer = replace(answer, parsed=request.schema.parsed(answer))
        self.turns = (*laid_out.turns, self._turn(seen, answer.text))
        return answer

    def _lay_out(self, new: Sequence[NewImage]) -> FittedPrompt:
        """Lay out the prompt and make sure that it fits, before the expensive part begins."""
        parts = self._parts
        asked = Question(one_view_per_frame(self._request, new), new, self._conversation)
        known = parts.memory.known_of(self._conversation.owner)
        asked, self._plan = parts.planner.choose(asked, in_memory=known, spent=self._elapsed)
        self._request = asked.request
        if self._request.schema is not None:
            parts.model.require_grammar(self._request.schema.grammar)
        slice_plans = asked.plan_slices(parts.manifest.preprocessing)
        laid_out = fit_to_context(asked, slice_plans, parts.manifest, parts.model)
        require_room(laid_out.size, laid_out.inputs, parts.model)
        return laid_out

    def _read(self, laid_out: FittedPrompt, seen: Sequence[SeenImage]) -> Generator[str, None, None]:
        """Read the prompt, in steps; where the conversation will go on, only what is not in memory."""
        model, memory, reader = self._parts.model, self._parts.memory, self._conversation.owner
        with timed(self._timings, "prompt"):
            images = [*(image for turn in laid_out.turns for image in turn.images), *seen]
            prompt = fill_prompt(laid_out.layout, images, model)
            stable = len(prompt.ids)
            if reader is not None and model.is_recurrent:
                turns = (*laid_out.turns, self._turn(seen, "answer"))
                stable = stable_length(prompt, turns, self._parts.manifest, model)
        with timed(self._timings, "prefill"):
            if reader is None:
                yield from memory.read_alone(prompt)
            else:
                self._cached_tokens = yield from memory.read(prompt, reader=reader, stable=stable)

    def _generated(self) -> Generator[int, None, None]:
        """Generate the answer's tokens; what a model that fails leaves behind is not gone on with."""
        request = self._request
        grammar = None if request.schema is None else request.schema.grammar
        tokens = self._parts.model.generate(request.sampling, max_tokens=request.max_tokens, grammar=grammar)
        try:
            with closing(tokens):
                for token in tokens:
                    if not self._timings["first_token"]:
                        self._timings["first_token"] = self._elapsed()
                    yield token
        except ModelError:
            self._parts.memory.forget()
            raise

    def _answer(self, laid_out: FittedPrompt, seen: Sequence[SeenImage], stream: TextStream, text: str) -> Answer:
        size = laid_out.size
        images = [*(image for turn in laid_out.turns for image in turn.images), *seen]
        views = tuple(view for image in images for view in image.encoded.views)
        return Answer(
            text=text,
            finish_reason=stream.finish_reason,
            usage=Usage(size.vision, size.total, stream.completion_tokens, self._cached_tokens),
            views=views,
            timings_ms=dict(self._timings),
            mode=self._request.mode,
            plan=self._plan,
            dropped_turns=len(self._conversation.turns) - len(laid_out.turns),
            reused_views=len(views) - self._encoded_views,
        )

    def _turn(self, seen: Sequence[SeenImage], answer: str) -> Turn:
        """Make a turn of the question with an answer, in which nothing may stand for an image."""
        question = self._request.question
        said = answer.replace(self._parts.manifest.prompt.tokens.image, "")
        return Turn(question if isinstance(question, str) else "", said, tuple(seen))

    def _seen(self, new: NewImage, slice_plan: SlicePlan) -> SeenImage:
        """Encode an image, unless it was encoded for an earlier attempt."""
        known = self._conversation.encoded.get((new, slice_plan))
        if known is not None:
            return known
        seen = SeenImage(self._encode(new.image, slice_plan), new.video)
        if new in self._conversation.waiting:
            self._conversation.encoded[new, slice_plan] = seen
        return seen

    def _encode(self, image: Image.Image, slice_plan: SlicePlan) -> Encoded:
        encoded = self._parts.encoder.encode_planned(image, slice_plan, tolerance=self._request.tolerance)
        for stage, milliseconds in encoded.timings_ms.items():
            self._timings[stage] += milliseconds
        self._encoded_views += encoded.encoded
        return encoded

    def _elapsed(self) -> float:
        return 1e3 * (time.perf_counter() - self._start)
