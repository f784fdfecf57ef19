"""A conversation that ends with the beginning of an answer, which the model goes on with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.agents.templates import AGENT_TEMPLATE
from support.places import EXAMPLES
from transformers.utils.chat_template_utils import render_jinja_template

from uhd_edge.runtime import Assistant, Bundle, LimitedImage, Message, TextPart, ToolCall
from uhd_edge.runtime.errors import OptionError, PromptError
from uhd_edge.runtime.prompt.layout import write_prompt
from uhd_edge.runtime.prompt.template import TemplateOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

CODE = "What is the code on the white star?"
BENCH = EXAMPLES / "bench.png"


@pytest.fixture(scope="module")
def tiny() -> Iterator[Assistant]:
    with Assistant(threads=1) as assistant:
        yield assistant


def begun(text: str, question: str = CODE) -> list[Any]:
    asked = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
    return [asked, {"role": "assistant", "content": text}]


def test_the_answer_goes_on_where_it_has_begun(tiny: Assistant) -> None:
    whole = tiny.ask(BENCH, CODE).text
    assert whole == "JX7"
    assert [tiny.ask(BENCH, begun(whole[:length])).text for length in (0, 1, 2)] == ["JX7", "X7", "7"]
    assert "".join(stream := tiny.stream(BENCH, begun("J"))) == stream.answer.text == "X7"


def test_the_prompt_is_that_of_transformers(tiny: Assistant) -> None:
    prompt = tiny.bundle.manifest.prompt
    conversation = [{"role": "user", "content": [{"type": "text", "text": "What?"}]}]
    conversation += [{"role": "assistant", "content": [{"type": "text", "text": "It is a "}]}]
    expected, _ = render_jinja_template(
        conversations=[conversation], chat_template=prompt.chat_template, continue_final_message=True
    )
    messages = [Message("user", (TextPart("What?"),)), Message("assistant", (TextPart("It is a "),))]
    assert "".join(map(str, write_prompt(messages, [], prompt))) == expected[0]


def test_thoughts_that_would_begin_are_closed_first() -> None:
    prompt = Bundle.open().manifest.prompt.model_copy(update={"chat_template": AGENT_TEMPLATE})
    messages = [Message("user", (TextPart("What?"),)), Message("assistant", (TextPart("It"),))]
    thinking, not_thinking = (write_prompt(messages, [], prompt, TemplateOptions(think)) for think in (True, False))
    assert thinking == not_thinking
    assert str(thinking[0]).endswith("<think>\n\n</think>\n\nIt")


@pytest.mark.parametrize(
    "options", [{"think": True}, {"schema": {"type": "object"}}, {"tools": [{"name": "go"}], "tool_choice": "go"}]
)
def test_what_an_answer_that_has_begun_cannot_do_is_refused(tiny: Assistant, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="the beginning of an answer"):
        tiny.ask(BENCH, begun("J"), **options)


def test_a_call_without_its_result_is_refused(tiny: Assistant) -> None:
    messages = [Message("user", (TextPart("Go"),)), Message("assistant", (), tool_calls=(ToolCall("go", {}),))]
    with pytest.raises(PromptError, match="give its result"):
        tiny.ask(messages)


def test_an_image_may_have_a_limit_of_its_own(tiny: Assistant) -> None:
    photo = EXAMPLES / "sliced.jpg"
    both = [LimitedImage(photo), photo]
    whole, limited = tiny.ask(photo, "What?", max_tokens=1), tiny.ask(both, "What?", max_tokens=1)
    assert len(whole.views) > 1
    assert len(limited.views) == 1 + len(whole.views)
    assert tiny.ask([LimitedImage(photo, 99)], "What?", max_tokens=1).views == whole.views
    assert len(tiny.ask([LimitedImage(photo, 99)], "What?", max_tokens=1, max_slices=1).views) == 1
    with pytest.raises(OptionError, match="max_slices"):
        tiny.ask(LimitedImage(photo, 0), "What?")
