"""Prompts with thoughts, tools, calls and results equal those of transformers' `apply_chat_template`, byte by byte."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal, Optional, Union

import pytest
from support.agents.stand_in import chat_templates
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast
from transformers.utils import get_json_schema

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.conversation.chat_messages import read_messages
from uhd_edge.runtime.prompt.layout import write_prompt
from uhd_edge.runtime.prompt.template import TemplateOptions
from uhd_edge.runtime.tools.functions import describe_function
from uhd_edge.runtime.tools.given_tools import parse_tools


class Speed(Enum):
    SLOW = "slow"
    FAST = "fast"


def move(metres: float, speed: Literal["slow", "fast"] = "slow") -> str:
    """Drive straight on.

    Args:
        metres: How far; negative is
            backwards.
        speed: How fast (choices: ["slow", "fast"])

    Returns:
        Where it is now.
    """
    raise NotImplementedError


def look(
    places: list[str], limits: dict[str, int], box: tuple[int, int], speed: Speed, note: str | None = None
) -> None:
    """Look around.

    It says: <b>"é"</b> & so on.

    Args:
        places: Where to.
        limits: What is too much.
        box: Width: and height.
        speed: How fast.
        note: Anything.

    Raises:
        ValueError: Never.
    """


def mixed(one: Union[int, str], two: Optional[list[int]], three: Any, four: int | list[str], five: bool | None) -> dict:  # type: ignore[type-arg]  # noqa: UP007, UP045
    """Everything else.

    Args:
        one: 1
        two: 2
        three: 3
        four: 4
        five: 5
    """
    raise NotImplementedError


TEXT = {"role": "user", "content": "Drive to the door & stop. Größe? <b>"}
CALL = {"type": "function", "function": {"name": "move", "arguments": {"metres": 1.5, "speed": "fast"}}}
OTHER = {"type": "function", "function": {"name": "look", "arguments": {"places": ["door", "Tür"], "limits": {"a": 1}}}}
CONVERSATIONS: tuple[tuple[dict[str, Any], ...], ...] = (
    (TEXT,),
    ({"role": "system", "content": "You are a robot."}, TEXT),
    (TEXT, {"role": "assistant", "content": "A cup.", "reasoning_content": "It has a handle."}, TEXT),
    (
        TEXT,
        {"role": "assistant", "content": "2"},
        TEXT,
        {"role": "assistant", "content": "4\n", "reasoning_content": "5"},
        TEXT,
    ),
    (
        TEXT,
        {"role": "assistant", "content": "I drive.", "reasoning_content": "Hm.\n\nHm </think", "tool_calls": [CALL]},
        {"role": "tool", "content": "done"},
    ),
    (
        {"role": "system", "content": "Be careful."},
        TEXT,
        {"role": "assistant", "content": "", "tool_calls": [CALL, OTHER]},
        {"role": "tool", "content": '{"x": 1.5}'},
        {"role": "tool", "content": "Tür"},
        {"role": "assistant", "content": "Done.", "reasoning_content": "It worked."},
        TEXT,
    ),
)


TOKENIZER = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE()))


@pytest.mark.parametrize("template", chat_templates())
@pytest.mark.parametrize("think", [None, True, False])
@pytest.mark.parametrize("with_tools", [False, True])
@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_prompts_equal_those_of_transformers(
    template: str, think: bool | None, with_tools: bool, conversation: tuple[dict[str, Any], ...]
) -> None:
    tools: list[Any] = [move, look, {"type": "function", "function": {"name": "stop", "parameters": {}}}]
    tools = tools if with_tools else []
    prompt = Bundle.open().manifest.prompt.model_copy(update={"chat_template": template, "normalization": None})
    options = TemplateOptions(think, parse_tools(tools, "auto").definitions)
    messages, _ = read_messages(conversation, ())
    (ours,) = write_prompt(messages, [], prompt, options)
    theirs = TOKENIZER.apply_chat_template(
        [{**one, "content": [{"type": "text", "text": one["content"]}]} for one in conversation],
        chat_template=template,
        tools=tools or None,
        tokenize=False,
        add_generation_prompt=True,
        **({} if think is None else {"enable_thinking": think}),
    )
    assert ours == theirs


@pytest.mark.parametrize("function", [move, look, mixed])
def test_functions_are_described_as_transformers_does(function: Any) -> None:
    assert list(describe_function(function).items()) == list(get_json_schema(function).items())
    assert str(describe_function(function)) == str(get_json_schema(function))
