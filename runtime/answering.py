"""The way of one question through its stages: decode, choose, lay out, encode, prefill, generate."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from uhd_edge.runtime.answer import Answer, Usage
from uhd_edge.runtime.budget.planning import Planner
from uhd_edge.runtime.conversation.elsewhere import do_elsewhere
from uhd_edge.runtime.conversation.fitting import fit_to_context
from uhd_edge.runtime.conversation.new_images import decode_images, one_view_per_frame
from uhd_edge.runtime.conversation.prompt_memory import PromptMemory
from uhd_edge.runtime.conversation.prompt_tokens import fill_prompt
from uhd_edge.runtime.conversation.retold.known_images import KnownImages
from uhd_edge.runtime.conversation.retold.reading import Reader, asked_turn
from uhd_edge.runtime.conversation.turns import Question, SeenImage, image_cuts
from uhd_edge.runtime.errors import ModelError, SchemaError
from uhd_edge.runtime.generation.parsing import parse_answer
from uhd_edge.runtime.generation.several import write_answers
from uhd_edge.runtime.generation.writing import find_grammars
from uhd_edge.runtime.prompt.room import require_room
from uhd_edge.runtime.timing import Stopwatch, timed
from uhd_edge.runtime.vision import encoder as vision

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from concurrent.futures import Executor

    from uhd_edge.runtime.budget.cost_book import CostBook
    from uhd_edge.runtime.budget.planning import Choice
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.fitting import FittedPrompt
    from uhd_edge.runtime.conversation.request import Request
    from uhd_edge.runtime.conversation.turns import Conversation, Turn
    from uhd_edge.runtime.generation.writing import WrittenAnswer
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.modes import Precision
    from uhd_edge.runtime.vision.encoder import VisionEncoder
    from uhd_edge.runtime.vision.slicing import SlicePlan


# In the order of an answer; the encoder's stages come first.
STAGES: tuple[str, ...] = (*vision.STAGES, "prompt", "prefill", "first_token", "generate", "total")


@dataclass(frozen=True)
class OpenModels:
    """What stays open while questions are answered.

    With `vision_thread`, images are decoded and encoded there, while other answers go on beside this one. With
    `known_images`, a question may go on from what was read for the one before, whose conversation it may be.
    """

    manifest: Manifest
    encoder: VisionEncoder
    language_model: LanguageModel
    memory: PromptMemory
    planner: Planner
    vision_thread: Executor | None = None
    known_images: KnownImages | None = None


def open_places(
    encoder: VisionEncoder,
    model: LanguageModel,
    book: CostBook,
    session_bytes: int,
    vision_thread: Executor | None,
    *,
    keep_prompts: bool,
) -> tuple[OpenModels, ...]:
    """Put together what answers need that are given beside each other, one in each of the model's conversations."""
    manifest, shared = encoder.bundle.manifest, (vision_thread, KnownImages() if keep_prompts else None)
    return tuple(
        OpenModels(
            manifest, encoder, one, PromptMemory(one, limit=session_bytes), Planner(manifest, one, book), *shared
        )
        for one in model.conversations
    )


def answer_question(request: Request, conversation: Conversation, models: OpenModels) -> Generator[str, None, Answer]:
    """Answer a request at the end of a conversation, which then has one turn more, and return the answer.

    Yields after every step that takes a while: a piece of the answer's text, empty where there
    is none yet. Closing the generator between two steps ends the answer; the conversation stays
    as it was.
    """
    watch = Stopwatch(STAGES)
    question = yield from do_elsewhere(models.vision_thread, lambda: _decode(request, conversation, models, watch))
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
        written, *others = yield from _generate(question.request, prompt, models, watch)
    finally:
        if models.vision_thread is None:  # otherwise other answers took some of the time
            wanted = sum(len(plan.views) for plan in prompt.inputs.slice_plans if not plan.is_encoded)
            encoded = encoded_views / max(1, wanted)
            models.planner.learn(choice, watch.stages["first_token"], encoded=encoded)
    images = (*prompt.seen_images, *seen)
    views = tuple(view for image in images for view in image.encoded.views)
    precisions: set[Precision | None] = {image.encoded.precision for image in images}
    answer = Answer(
        text=written.text,
        finish_reason=written.finish_reason,
        usage=Usage(prompt.size.vision, prompt.size.total, written.tokens, cached_tokens, written.thinking_tokens),
        views=views,
        timings_ms=dict(watch.stages),
        mode=question.request.mode,
        plan=choice.plan,
        dropped_turns=len(conversation.turns) - len(prompt.turns),
        reused_views=len(views) - encoded_views,
        precision=precisions.pop() if len(precisions) == 1 else None,
        thinking=written.thinking,
        tool_calls=written.tool_calls,
        logprobs=written.logprobs,
        images=image_cuts(images),
    )
    answer = replace(answer, alternatives=tuple(_alternative(answer, other, request) for other in others))
    answer = replace(answer, parsed=parse_answer(answer, request))
    conversation.continue_with((*prompt.turns, _turn(question, seen, written, models.manifest)))
    conversation.tools = request.tools.tools
    return answer


def _decode(request: Request, conversation: Conversation, models: OpenModels, watch: Stopwatch) -> Question:
    with timed(watch.stages, "decode"):
        images = [*conversation.waiting, *decode_images(request.images, models.manifest)]
    return Question(one_view_per_frame(request, images), images, conversation)


def _choose(question: Question, models: OpenModels, elapsed: Callable[[], float]) -> Choice:
    """Choose mode and slices where the question has a budget, and check the grammar of its schema or tools."""
    in_memory = models.memory.reusable_tokens(question.conversation)
    choice = models.planner.choose(question, in_memory=in_memory, spent=elapsed)
    models.language_model.vocabulary.require(question.request.sampling.logit_bias or ())
    for grammar in find_grammars(question.request, models.manifest.prompt):
        models.language_model.require_grammar(grammar)
    return choice


def _lay_out(question: Question, models: OpenModels) -> FittedPrompt:
    """Lay out the prompt, and make sure that it fits before anything expensive begins."""
    slice_plans = question.plan_slices(models.manifest.preprocessing)
    prompt = fit_to_context(question, slice_plans, models.manifest, models.language_model)
    require_room(prompt.size, prompt.inputs, models.language_model)
    return prompt


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
            encode = partial(
                models.encoder.encode_planned, image.image, slice_plan, tolerance=question.request.tolerance
            )
            encoded = yield from do_elsewhere(models.vision_thread, encode)
            watch.add(encoded.timings_ms)
            encoded_views += encoded.encoded_views
            known = SeenImage(encoded, image.video)
            if models.known_images is not None and not conversation.goes_on:
                known = models.known_images.recognised(known)
            if image in conversation.waiting:
                conversation.encoded[image, slice_plan] = known
        seen.append(known)
        yield ""
    return seen, encoded_views


def _prefill(
    question: Question, prompt: FittedPrompt, seen: Sequence[SeenImage], models: OpenModels, watch: Stopwatch
) -> Generator[str, None, int]:
    """Read the prompt, and return how many of its tokens were in memory."""
    model, keeps = models.language_model, models.known_images is not None
    reader = Reader(models.manifest, model, models.memory, keeps)
    with timed(watch.stages, "prompt"):
        images = [*prompt.seen_images, *seen]
        tokens = fill_prompt(prompt.layout, images, model)
        stable = reader.stable_length(question, prompt, tokens, images)
    with timed(watch.stages, "prefill"):
        return (yield from reader.read(question, tokens, stable))


def _generate(
    request: Request, prompt: FittedPrompt, models: OpenModels, watch: Stopwatch
) -> Generator[str, None, tuple[WrittenAnswer, ...]]:
    """Generate the answers; when the model fails, its memory is discarded."""
    in_thoughts = prompt.layout.ends_in_thoughts

    def note_first() -> None:
        if not watch.stages["first_token"]:
            watch.stages["first_token"] = watch.elapsed()

    try:
        written = yield from write_answers(
            request, models.language_model, models.manifest.prompt, in_thoughts=in_thoughts, on_token=note_first
        )
    except ModelError:
        models.memory.forget()
        raise
    watch.stages["total"] = watch.elapsed()
    watch.stages["generate"] = watch.stages["total"] - watch.stages["first_token"]
    return written


def _alternative(answer: Answer, written: WrittenAnswer, request: Request) -> Answer:
    """Make another answer to the same question; one that was cut off before it fits the schema has no value."""
    other = replace(
        answer,
        text=written.text,
        finish_reason=written.finish_reason,
        usage=replace(answer.usage, completion_tokens=written.tokens, thinking_tokens=written.thinking_tokens),
        thinking=written.thinking,
        tool_calls=written.tool_calls,
        logprobs=written.logprobs,
    )
    with suppress(SchemaError):
        return replace(other, parsed=parse_answer(other, request))
    return other


def _turn(question: Question, seen: Sequence[SeenImage], written: WrittenAnswer, manifest: Manifest) -> Turn:
    """Make a turn of a question and its answer, which is stripped of image placeholders."""
    text, thinking = (words.replace(manifest.prompt.tokens.image, "") for words in (written.text, written.thinking))
    turn = asked_turn(question, seen)
    return replace(turn, answer=text, thinking=thinking, tool_calls=written.tool_calls)
