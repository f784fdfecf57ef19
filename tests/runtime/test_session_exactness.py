"""Sessions against the same conversation read anew: logits bit for bit, whatever happens in between."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.conversations.retold import LONG_QUESTION, Told, ask_both
from support.images.squares import picture

from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.llm.language_model import BATCH

QUESTION = "What is it?"
# Chain of thought opens the answer and is left out of earlier turns, as Qwen3.5's own template has it.
THINKING_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{% if part.type == 'image' %}<|image_pad|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n<think>\n\n</think>\n\n"
)


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
            assert assistant._places[0].memory.nbytes <= session_bytes
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


def test_measuring_for_a_budget_in_between_leaves_a_session_exact(qwen3_bundle: Bundle) -> None:
    with Assistant(qwen3_bundle, threads=1) as assistant, Assistant(qwen3_bundle, threads=1) as fresh:
        session, told = assistant.session(picture()), Told([picture()])
        ask_both(assistant, session, told, fresh, LONG_QUESTION)
        assistant._model.clear()  # as measuring does
        assistant._model.prefill([])
        ask_both(assistant, session, told, fresh, QUESTION)
