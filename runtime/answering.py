"""The way of one question through its stages: decode, choose, lay out, encode, prefill, generate."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.answer import Answer, Usage
from uhd_edge.runtime.conversation.fitting import fit_to_context, stable_length
from uhd_edge.runtime.conversation.new_images import decode_images, one_view_per_frame
from uhd_edge.runtime.conversation.prompt_tokens import fill_prompt
from uhd_edge.runtime.conversation.turns import Question, SeenImage, Turn
from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.stopping import StoppedText
from uhd_edge.runtime.llm.streaming import TextStream
from uhd_edge.runtime.prompt.room import require_room
from uhd_edge.runtime.timing import Stopwatch, timed
from uhd_edge.runtime.vision import encoder as vision

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from uhd_edge.runtime.answer import FinishReason
    from uhd_edge.runtime.budget.planning import Choice, Planner
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.fitting import FittedPrompt
    from uhd_edge.runtime.conversation.prompt_memory import PromptMemory
    from uhd_edge.runtime.conversation.request import Request
    from uhd_edge.runtime.conversation.turns import Conversation
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.vision.encoder import VisionEncoder
    from uhd_edge.runtime.vision.slicing import SlicePlan


# In the order of an answer; the encoder's stages come first.
STAGES: tuple[str, ...] = (*vision.STAGES, "prompt", "prefill", "first_token", "generate", "total")


@dataclass(frozen=True)
class OpenModels:
    """What stays open while questions are answered."""

    manifest: Manifest
    encoder: VisionEncoder
    language_model: LanguageModel
    memory: PromptMemory
    planner: Planner


def answer_question(request: Request, conversation: Conversation, models: OpenModels) -> Generator[str, None, Answer]:
    """Answer a request at the end of a conversation, which then has one turn more, and return the answer.

    Yields after every step that takes a while: a piece of the answer's text, empty where there
    is none yet. Closing the generator between two steps ends the answer; the conversation stays
    as it was.
    """
    watch = Stopwatch(STAGES)
    with timed(watch.stages, "decode"):
        question = _decode(request, conversation, models)
    yield ""
    if request.budget is not None:  # if the machine has to be measured, that is not the question's time
        with watch.paused():
            models.planner.measure(request.budget.modes)
    with timed(watch.stages, "prompt"):
        choice = _choose(question, models, watch.elapsed)
        question = choice.question
        prompt = _lay_out(question, models)
    seen, encoded_views = yield from _encode(question, prompt.inputs.slice_plans, models, watch)
    cached_tokens = yield from _prefill(question, prompt, seen, models, watch)
    try:
        generated = yield from _generate(question.request, models, watch)
    finally:
        encoded = encoded_views / max(1, _views_to_encode(prompt))
        models.planner.learn(choice, watch.stages["first_token"], encoded=encoded)
    images = [image.encoded for image in (*prompt.seen_images, *seen)]
    views = tuple(view for image in images for view in image.views)
    precisions = {image.precision for image in images}
    answer = Answer(
        text=generated.text,
        finish_reason=generated.finish_reason,
        usage=Usage(prompt.size.vision, prompt.size.total, generated.tokens, cached_tokens),
        views=views,
        timings_ms=dict(watch.stages),
        mode=question.request.mode,
        plan=choice.plan,
        dropped_turns=len(conversation.turns) - len(prompt.turns),
        reused_views=len(views) - encoded_views,
        precision=precisions.pop() if len(precisions) == 1 else None,
    )
    if request.schema is not None:
        answer = replace(answer, parsed=request.schema.parsed(answer))
    conversation.continue_with((*prompt.turns, _turn(question, seen, answer.text, models)))
    return answer


def _decode(request: Request, conversation: Conversation, models: OpenModels) -> Question:
    images = [*conversation.waiting, *decode_images(request.images, models.manifest)]
    return Question(one_view_per_frame(request, images), images, conversation)


def _choose(question: Question, models: OpenModels, elapsed: Callable[[], float]) -> Choice:
    """Choose mode and slices where the question has a budget, and check its schema's grammar."""
    in_memory = models.memory.reusable_tokens(question.conversation)
    choice = models.planner.choose(question, in_memory=in_memory, spent=elapsed)
    if question.request.schema is not None:
        models.language_model.require_grammar(question.request.schema.grammar)
    return choice


def _lay_out(question: Question, models: OpenModels) -> FittedPrompt:
    """Lay out the prompt, and make sure that it fits before anything expensive begins."""
    slice_plans = question.plan_slices(models.manifest.preprocessing)
    prompt = fit_to_context(question, slice_plans, models.manifest, models.language_model)
    require_room(prompt.size, prompt.inputs, models.language_model)
    return prompt


def _views_to_encode(prompt: FittedPrompt) -> int:
    return sum(len(plan.views) for plan in prompt.inputs.slice_plans if not plan.is_encoded)


def _encode(
    question: Question, slice_plans: Sequence[SlicePlan], models: OpenModels, watch: Stopwatch
) -> Generator[str, None, tuple[list[SeenImage], int]]:
    """Encode the new images, and return them and the number of views that went through the engines.

    What waiting images were encoded into for an earlier attempt is taken from the conversation.
    """
    conversation = question.conversation
    seen, encoded_views = [], 0
    for image, slice_plan in zip(question.images, slice_plans, strict=True):
        known = conversation.encoded.get((image, slice_plan))
        if isinstance(image.image, vision.Encoded):
            known = SeenImage(image.image)
        elif known is None:
            encoded = models.encoder.encode_planned(image.image, slice_plan, tolerance=question.request.tolerance)
            watch.add(encoded.timings_ms)
            encoded_views += encoded.encoded_views
            known = SeenImage(encoded, image.video)
            if image in conversation.waiting:
                conversation.encoded[image, slice_plan] = known
        seen.append(known)
        yield ""
    return seen, encoded_views


def _prefill(
    question: Question, prompt: FittedPrompt, seen: Sequence[SeenImage], models: OpenModels, watch: Stopwatch
) -> Generator[str, None, int]:
    """Read the prompt, and return how many of its tokens were in memory; only a conversation that goes on has any."""
    conversation, model = question.conversation, models.language_model
    with timed(watch.stages, "prompt"):
        tokens = fill_prompt(prompt.layout, [*prompt.seen_images, *seen], model)
        stable = len(tokens.ids)
        if conversation.goes_on and model.is_recurrent:
            turns = (*prompt.turns, _turn(question, seen, "answer", models))
            stable = stable_length(tokens, turns, models.manifest, model)
    with timed(watch.stages, "prefill"):
        if conversation.goes_on:
            return (yield from models.memory.read(tokens, owner=conversation, stable_prefix=stable))
        yield from models.memory.read_alone(tokens)
        return 0


@dataclass(frozen=True)
class _Generated:
    text: str
    finish_reason: FinishReason
    tokens: int


def _generate(request: Request, models: OpenModels, watch: Stopwatch) -> Generator[str, None, _Generated]:
    """Generate the answer, up to the first of the request's stops."""
    vocabulary, text = models.language_model.vocabulary, ""
    with closing(_generate_tokens(request, models, watch)) as tokens:
        stream = TextStream(tokens, vocabulary, models.manifest.prompt.stop_ids)
        pieces = StoppedText(iter(stream), request.stops)
        for piece in pieces:
            text += piece
            yield piece
    watch.stages["total"] = watch.elapsed()
    watch.stages["generate"] = watch.stages["total"] - watch.stages["first_token"]
    return _Generated(text.strip(), "stop" if pieces.stopped else stream.finish_reason, stream.completion_tokens)


def _generate_tokens(request: Request, models: OpenModels, watch: Stopwatch) -> Generator[int, None, None]:
    """Generate the answer's tokens; when the model fails, its memory is discarded."""
    grammar = None if request.schema is None else request.schema.grammar
    tokens = models.language_model.generate(request.sampling, max_tokens=request.max_tokens, grammar=grammar)
    try:
        with closing(tokens):
            for token in tokens:
                if not watch.stages["first_token"]:
                    watch.stages["first_token"] = watch.elapsed()
                yield token
    except ModelError:
        models.memory.forget()
        raise


def _turn(question: Question, seen: Sequence[SeenImage], answer: str, models: OpenModels) -> Turn:
    """Make a turn of a question and its answer, which is stripped of image placeholders."""
    asked = question.request.question
    text = answer.replace(models.manifest.prompt.tokens.image, "")
    return Turn(asked if isinstance(asked, str) else "", text, tuple(seen))
