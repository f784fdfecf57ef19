"""Sessions against the same conversation read anew: logits bit for bit, whatever happens in between."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.answering_bundle import bundle_of

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime.errors import ContextError, ImageError, ModelError, OptionError, PromptError
from uhd_edge.runtime.llm.language_model import BATCH
from uhd_edge.runtime.prompt.layout import ImagePart, Message, TextPart
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.scenes import SLICED, draw_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from uhd_edge.runtime.session import Session

QUESTION = "What is it?"
LONG_QUESTION = "Tell me about everything that is to be seen there, one after the other. " * 4

# Chain of thought opens the answer and is left out of earlier turns, as Qwen3.5's own template has it.
THINKING_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{% if part.type == 'image' %}<|image_pad|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n<think>\n\n</think>\n\n"
)


def picture(seed: int = 0, size: tuple[int, int] = (365, 211)) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize(size)


@pytest.fixture(scope="module", params=["qwen3", "hybrid"])
def trained(request: pytest.FixtureRequest) -> Bundle:
    """A plain transformer, and a hybrid with recurrent layers."""
    bundle: Bundle = request.getfixturevalue(f"{request.param}_bundle")
    return bundle


@pytest.fixture(scope="module")
def fresh(trained: Bundle) -> Iterator[Assistant]:
    with Assistant(trained, threads=1) as assistant:
        yield assistant


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_of(tmp_path_factory.mktemp("bundles") / "telling")


@pytest.fixture
def assistant(bundle: Bundle) -> Iterator[Assistant]:
    with Assistant(bundle, threads=1) as assistant:
        yield assistant


class Told:
    """A conversation as it is expected to be: what was said, and with which images."""

    def __init__(self, images: list[Image.Image]) -> None:
        self.images, self.waiting = list(images), len(images)
        self.messages: list[Message] = []

    def copy(self) -> Told:
        other = Told(self.images)
        other.waiting, other.messages = self.waiting, list(self.messages)
        return other

    def asked(self, question: str, new: list[Image.Image]) -> list[Message]:
        parts = [*[ImagePart()] * (self.waiting + len(new)), TextPart(question)]
        return [*self.messages, Message("user", tuple(parts))]

    def note(self, question: str, new: list[Image.Image], answer: str) -> None:
        self.messages = [*self.asked(question, new), Message("assistant", (TextPart(answer),))]
        self.images, self.waiting = [*self.images, *new], 0


def first_logits(assistant: Assistant, steps: Any) -> tuple[NDArray[np.float32], str, Any]:
    """The logits behind the prompt, the answer's text, and the answer."""
    model, text = assistant._model, ""
    generate, logits = model.generate, []

    def noting(*arguments: Any, **options: Any) -> Any:
        logits.append(model.logits())
        return generate(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "generate", noting)
        while True:
            try:
                text += next(steps)
            except StopIteration as end:
                return logits[0], text, end.value


def ask_both(
    assistant: Assistant, session: Session, told: Told, fresh: Assistant, question: str, *new: Image.Image
) -> Any:
    """Ask in the session and, with the whole conversation anew, elsewhere: logits and text are the same."""
    steps = session.steps(question, images=list(new), max_tokens=6)
    logits, text, answer = first_logits(assistant, steps)
    images = [*told.images, *new]
    expected = first_logits(fresh, fresh.steps(images, told.asked(question, list(new)), max_tokens=6))
    if fresh.bundle.manifest.llm.architecture == "qwen3":
        assert np.array_equal(logits, expected[0])
    else:
        np.testing.assert_allclose(logits, expected[0], atol=1e-3)
    assert text == expected[1]
    assert answer.usage.prompt_tokens == expected[2].usage.prompt_tokens
    assert answer.usage.vision_tokens == expected[2].usage.vision_tokens
    assert answer.views == expected[2].views
    told.note(question, list(new), answer.text)
    return answer


def test_every_question_has_the_logits_of_the_whole_conversation_read_anew(trained: Bundle, fresh: Assistant) -> None:
    with Assistant(trained, threads=1) as assistant:
        session, told = assistant.session([picture()]), Told([picture()])
        read = []
        for question, *new in (
            (QUESTION,),
            ("And beside it?",),
            (LONG_QUESTION,),
            ("What has changed?", picture(1), picture(2, (90, 60))),
            (LONG_QUESTION * 2,),
            ("Sure?",),
        ):
            answer = ask_both(assistant, session, told, fresh, question, *new)
            read.append(answer.usage.prompt_tokens - answer.usage.cached_tokens)
        assert answer.usage.prompt_tokens > 700  # several batches
        assert read[-1] < 200
        assert session.history[0][0] == QUESTION
        assert len(session.history) == 6


def test_a_question_that_is_left_while_its_prompt_is_read_stops_within_a_batch_and_leaves_no_trace(
    trained: Bundle, fresh: Assistant
) -> None:
    with Assistant(trained, threads=1) as assistant:
        session, told = assistant.session([picture()]), Told([picture()])
        ask_both(assistant, session, told, fresh, QUESTION)
        for batches in (1, 2, 3):
            steps, read = session.steps(LONG_QUESTION * 16, max_tokens=3), []
            for _ in range(1 + batches):
                assert next(steps) == ""
                read.append(assistant._model.position)
            assert all(0 < after - before <= BATCH for before, after in pairwise(read[1:]))
            assert read[1] <= read[0] + BATCH
            steps.close()
            assert assistant._model.position == read[-1]
            if batches == 2:  # another takes the memory from what was half read
                assistant.ask(picture(4), "Something else?", max_tokens=2)
            ask_both(assistant, session, told, fresh, f"Sure, after {batches}?")


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    actions=st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from(["ask", "long", "image", "fork", "plain", "left", "wrong", "new"])
        ),
        min_size=4,
        max_size=10,
    ),
    session_bytes=st.sampled_from([0, 300_000, 2**28]),
)
def test_whatever_happens_in_between_a_session_stays_exact(
    trained: Bundle, fresh: Assistant, actions: list[tuple[int, str]], session_bytes: int
) -> None:
    with Assistant(trained, threads=1, session_bytes=session_bytes) as assistant:
        image = picture(3, (300, 200))
        sessions = [(assistant.session(image), Told([image]))]
        for number, (which, action) in enumerate(actions):
            session, told = sessions[which % len(sessions)]
            if action in ("ask", "long"):
                question = LONG_QUESTION if action == "long" else f"Question {number}?"
                ask_both(assistant, session, told, fresh, question)
            elif action == "image":
                ask_both(assistant, session, told, fresh, "And here?", picture(number, (80, 60)))
            elif action == "fork":
                sessions.append((session.fork(), told.copy()))
            elif action == "new":
                sessions.append((assistant.session(), Told([])))
            elif action == "plain":
                assistant.ask(picture(4), "Something else?", max_tokens=3)
            elif action == "left":
                steps = session.steps(LONG_QUESTION, max_tokens=9)
                for _ in range(2 + told.waiting + number % 4):
                    next(steps)
                steps.close()
            else:
                with pytest.raises(ImageError):
                    session.ask(QUESTION, images=[picture(9), b"no image"])
            assert assistant._parts.memory.nbytes <= session_bytes
        for session, told in sessions:
            ask_both(assistant, session, told, fresh, "And now?")


@pytest.mark.parametrize("hybrid", [False, True])
def test_a_template_that_writes_earlier_turns_in_another_way_is_followed(
    request: pytest.FixtureRequest, hybrid: bool
) -> None:
    original: Bundle = request.getfixturevalue("hybrid_bundle" if hybrid else "qwen3_bundle")
    prompt = original.manifest.prompt.model_copy(update={"chat_template": THINKING_TEMPLATE})
    thinking = Bundle(original.path, original.manifest.model_copy(update={"prompt": prompt}))
    with Assistant(thinking, threads=1) as assistant, Assistant(thinking, threads=1) as fresh:
        session, told = assistant.session(picture()), Told([picture()])
        for question in (LONG_QUESTION, QUESTION, LONG_QUESTION, QUESTION):
            answer = ask_both(assistant, session, told, fresh, question)
        assert answer.usage.cached_tokens > answer.usage.prompt_tokens / 2


def test_ten_questions_about_a_scene_encode_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    run = OnnxRuntimeEngine.run

    def counted(engine: OnnxRuntimeEngine, inputs: Any) -> Any:
        runs.append(len(runs))
        return run(engine, inputs)

    monkeypatch.setattr(OnnxRuntimeEngine, "run", counted)
    scene = draw_picture(draw_scene("sessions", SLICED, (640, 480)))
    with Assistant(cache_bytes=0) as assistant:
        assistant.ask(scene, QUESTION, max_tokens=1)
        once = len(runs)
        assert once
        runs.clear()
        with assistant.session(scene) as session:
            answers = [session.ask(f"What is labelled {number}?", max_tokens=4) for number in range(10)]
            fork = session.fork()
            fork.ask(QUESTION, max_tokens=2)
        assert len(runs) == once
    vision = answers[0].usage.vision_tokens
    assert answers[0].usage.cached_tokens == 0
    for answer in answers[1:]:
        own = answer.usage.prompt_tokens - answer.usage.cached_tokens
        assert answer.usage.vision_tokens == vision
        assert own <= 64 + 30
        assert answer.timings["encoder"] == 0


def test_forks_share_what_was_computed_and_go_on_by_themselves(trained: Bundle) -> None:
    scene = picture(5, (500, 400))
    with Assistant(trained, threads=1) as assistant:
        session = assistant.session(scene, max_slices=6)
        first, second = session.fork(), session.fork()
        answers = []
        for fork, question in ((first, LONG_QUESTION), (second, "Another? " * 30), (session, QUESTION)):
            answers.append(fork.ask(question, max_tokens=4))
            assert [asked for asked, _ in fork.history] == [question]
        vision = answers[0].usage.vision_tokens
        for answer in answers[1:]:
            assert answer.timings["encoder"] == 0
        assert answers[1].usage.cached_tokens >= vision - 64
        assert first.history != second.history
        session.close()
        late = first.ask("And?", max_tokens=4)
        assert late.usage.cached_tokens > vision


def test_other_questions_cost_a_session_no_reading(trained: Bundle) -> None:
    with Assistant(trained, threads=1) as assistant:
        session, other = assistant.session(picture()), assistant.session(picture(1))
        session.ask(LONG_QUESTION, max_tokens=3)
        other.ask(LONG_QUESTION, max_tokens=3)
        assistant.ask(None, QUESTION, max_tokens=3)
        for asked in (session, other, session, other):
            usage = asked.ask(QUESTION, max_tokens=3).usage
            assert usage.prompt_tokens - usage.cached_tokens <= 64 + 64 + 60
        assert assistant._parts.memory.nbytes > 0
        session.close()
        other.close()
        assert assistant._parts.memory.nbytes == 0


def test_measuring_for_a_budget_in_between_leaves_a_session_exact(qwen3_bundle: Bundle) -> None:
    with Assistant(qwen3_bundle, threads=1) as assistant, Assistant(qwen3_bundle, threads=1) as fresh:
        session, told = assistant.session(picture()), Told([picture()])
        ask_both(assistant, session, told, fresh, LONG_QUESTION)
        assistant._model.clear()  # as measuring does
        assistant._model.prefill([])
        ask_both(assistant, session, told, fresh, QUESTION)


def test_a_stream_is_the_answer_and_becomes_a_turn_when_it_was_read(assistant: Assistant) -> None:
    session, same = assistant.session(picture()), assistant.session(picture())
    pieces = list(session.stream(QUESTION, max_tokens=8))
    assert "".join(pieces).strip() == same.ask(QUESTION, max_tokens=8).text == session.history[0][1]
    left = session.stream("And that?", max_tokens=8)
    next(left)
    assert len(session.history) == 1
    assert session.ask("Or this?", max_tokens=4).text == same.ask("Or this?", max_tokens=4).text
    with pytest.raises(PromptError, match="another question was asked"):
        next(left)


def test_a_full_context_is_an_error_that_leaves_the_session_as_it_was(bundle: Bundle) -> None:
    with Assistant(bundle, threads=1, context=220) as assistant:
        session = assistant.session(picture())
        session.ask(QUESTION, max_tokens=3)
        before = session.history
        remedies = r"; start a new session, or let it drop its oldest turns .*, or use --context \d+ or more$"
        with pytest.raises(ContextError, match=remedies):
            session.ask("What? " * 40)
        assert session.history == before
        assert session.ask("Sure?", max_tokens=3).usage.cached_tokens > 0


def test_the_oldest_turns_are_dropped_and_those_with_images_last(bundle: Bundle) -> None:
    with Assistant(bundle, threads=1, context=260) as assistant, Assistant(bundle, threads=1, context=260) as fresh:
        session = assistant.session(picture(), drop_oldest=True)
        questions = [f"Number {number}, what is it?" for number in range(12)]
        dropped = [session.ask(question, max_tokens=4).dropped_turns for question in questions]
        assert dropped[0] == 0
        assert sum(dropped) > 0
        kept = [question for question, _ in session.history]
        assert kept[0] == questions[0]  # it has the image
        assert kept[1:] == questions[-len(kept) + 1 :]
        assert len(kept) == len(questions) - sum(dropped)
        told = Told([])
        told.note(*(session.history[0][0], [picture()], session.history[0][1]))
        for question, answer in session.history[1:]:
            told.note(question, [], answer)
        last = session.ask("What? " * 25, max_tokens=2)
        assert last.dropped_turns >= len(kept) - 1
        asked = [*told.messages[:2], Message("user", (TextPart("What? " * 25),))]
        if last.usage.vision_tokens:
            assert fresh.ask([picture()], asked, max_tokens=2).text == last.text
        gone = session.ask("What? " * 35, max_tokens=2)
        assert gone.usage.vision_tokens == 0
        assert fresh.ask(None, "What? " * 35, max_tokens=2).text == gone.text
        assert len(session.history) == 1
        with pytest.raises(ContextError, match="shorten the question"):
            session.ask("What? " * 60)


def test_an_answer_that_writes_what_stands_for_an_image_does_not_break_the_next_turn(assistant: Assistant) -> None:
    session = assistant.session(picture())
    answer = session.ask(QUESTION, schema={"const": "<|image_pad|>"}, max_tokens=60)
    assert answer.parsed == "<|image_pad|>"
    assert session.ask("And?", max_tokens=3).usage.vision_tokens == answer.usage.vision_tokens


def test_the_images_of_a_session_are_those_it_was_made_with(assistant: Assistant) -> None:
    image = picture()
    pixels = np.asarray(image).copy()
    session, from_pixels = assistant.session(image), assistant.session(pixels)
    expected = assistant.ask(picture(), QUESTION, max_tokens=8).text
    image.paste((0, 0, 0), (0, 0, *image.size))
    pixels[:] = 0
    assert session.ask(QUESTION, max_tokens=8).text == expected
    assert from_pixels.ask(QUESTION, max_tokens=8).text == expected


def test_mode_and_slices_count_for_new_images(assistant: Assistant) -> None:
    session = assistant.session(picture(), mode="4x", max_slices=2)
    first = session.ask(QUESTION, max_tokens=2)
    assert (first.mode, len(first.views)) == ("4x", 3)
    second = session.ask(QUESTION, images=picture(1), mode="16x", max_slices=1, max_tokens=2)
    assert second.views[:3] == first.views
    assert len(second.views) == 4
    assert session.ask(QUESTION, max_tokens=2).views == second.views


def test_what_failed_is_not_encoded_again(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    session = assistant.session(picture())
    steps = session.steps(QUESTION, max_tokens=3)
    next(steps)
    next(steps)
    steps.close()
    monkeypatch.setattr(assistant.encoder, "encode", lambda *_, **__: pytest.fail("encoded again"))
    assert session.ask(QUESTION, max_tokens=3).usage.vision_tokens == 30


def test_sessions_in_several_threads_do_not_mix(assistant: Assistant) -> None:
    def talk(session: Session, number: int) -> list[str]:
        return [session.ask(f"Number {number}, {turn}?", max_tokens=5).text for turn in range(3)]

    image = picture()
    expected = [talk(assistant.session(image), number) for number in range(4)]
    sessions = [assistant.session(image) for _ in range(4)]
    found: dict[int, list[str]] = {}
    threads = [
        threading.Thread(target=lambda number=number: found.update({number: talk(sessions[number], number)}))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(4)] == expected


@pytest.mark.parametrize("wrong", [{"mode": "8x"}, {"max_slices": 0}])
def test_a_session_without_sense_is_not_made(assistant: Assistant, wrong: Any) -> None:
    (name,) = wrong
    with pytest.raises(OptionError, match=rf"^{name} is "):
        assistant.session(**wrong)
    with pytest.raises(ImageError):
        assistant.session(b"no image")
    question: Any = [Message("user", (TextPart("What?"),))]
    with pytest.raises(PromptError, match="in a session it must be a string"):
        assistant.session().ask(question)


def test_a_closed_session_says_so(bundle: Bundle) -> None:
    with Assistant(bundle, threads=1) as assistant:
        with assistant.session(picture()) as session:
            fork = session.fork()
            pieces = session.stream(QUESTION)
            next(pieces)
            session.close()
            with pytest.raises(PromptError, match="the session has been closed"):
                next(pieces)
        for use in (lambda: session.ask(QUESTION), lambda: session.stream(QUESTION), session.fork):
            with pytest.raises(PromptError, match="the session has been closed"):
                use()
        assert fork.ask(QUESTION, max_tokens=2).text is not None
    with pytest.raises(ModelError, match="the assistant has been closed"):
        fork.ask(QUESTION)
    fork.close()
