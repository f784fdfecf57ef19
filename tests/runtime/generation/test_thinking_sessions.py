"""Sessions whose model thinks: old thoughts leave the prompt as the template says, and logits stay exact."""

from __future__ import annotations

import pytest
from support.agents.templates import AGENT_TEMPLATE, KEEPING_TEMPLATE
from support.conversations.retold import LONG_QUESTION, Told, ask_both
from support.images.squares import picture

from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.runtime.errors import OptionError

THINKING = {"think": True, "think_tokens": 12}


def with_template(bundle: Bundle, template: str) -> Bundle:
    prompt = bundle.manifest.prompt.model_copy(update={"chat_template": template})
    return Bundle(bundle.path, bundle.manifest.model_copy(update={"prompt": prompt}))


@pytest.mark.parametrize("template", [AGENT_TEMPLATE, KEEPING_TEMPLATE])
def test_a_session_that_thinks_has_the_logits_of_the_whole_conversation_read_anew(
    trained: Bundle, template: str
) -> None:
    bundle = with_template(trained, template)
    with Assistant(bundle, threads=1) as assistant, Assistant(bundle, threads=1) as fresh:
        session, told = assistant.session(picture()), Told([picture()])
        for question, options in (
            (LONG_QUESTION, THINKING),
            ("What is it?", {"think": False}),
            (LONG_QUESTION, THINKING),
            ("Sure?", THINKING),
            ("And now?", {}),
        ):
            answer = ask_both(assistant, session, told, fresh, question, **options)
            assert bool(answer.thinking) == (options is THINKING)
        assert answer.usage.cached_tokens > answer.usage.prompt_tokens / 2


@pytest.mark.parametrize(("template", "kept"), [(AGENT_TEMPLATE, False), (KEEPING_TEMPLATE, True)])
def test_the_template_decides_whether_earlier_thoughts_are_read_again(
    qwen3_bundle: Bundle, template: str, kept: bool
) -> None:
    with Assistant(with_template(qwen3_bundle, template), threads=1) as assistant:
        thoughtful, other = assistant.session(), assistant.session()
        first = thoughtful.ask("What is it?", max_tokens=4, think=True, think_tokens=40)
        other.ask("What is it?", max_tokens=4)
        other._conversation.turns = (type(other._conversation.turns[0])("What is it?", first.text),)
        lengths = [session.ask("Sure?", max_tokens=1).usage.prompt_tokens for session in (thoughtful, other)]
    assert (lengths[0] > lengths[1]) == kept
    assert kept or lengths[0] == lengths[1]


def test_an_answer_with_a_schema_follows_the_thoughts(trained: Bundle) -> None:
    with Assistant(with_template(trained, AGENT_TEMPLATE), threads=1) as assistant:
        answer = assistant.ask("How many?", schema={"enum": ["none", "two"]}, **THINKING)
    assert answer.parsed in ("none", "two")
    assert answer.thinking
    assert answer.usage.completion_tokens > answer.usage.thinking_tokens >= 12


def test_a_model_that_cannot_think_says_so() -> None:
    with Assistant(threads=1) as assistant:
        with pytest.raises(OptionError, match="cannot be asked to think, as its chat template has no enable_thinking"):
            assistant.ask("What?", think=True)
        assert assistant.ask("What?", think=False, max_tokens=2).thinking == ""


def test_a_model_that_always_thinks_says_so(qwen3_bundle: Bundle) -> None:
    always = AGENT_TEMPLATE.replace("if enable_thinking", "if true")
    with Assistant(with_template(qwen3_bundle, always), threads=1) as assistant:
        with pytest.raises(OptionError, match="always thinks"):
            assistant.ask("What?", think=False)
        assert assistant.ask("What?", max_tokens=2, think_tokens=3).thinking
