"""A small model behind the real vocabulary, template and processor of MiniCPM-V 4.6."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from parity.conversations import picture
from support.agents.stand_in import make_stand_in, missing_for_stand_in
from transformers import AutoTokenizer

from uhd_edge.export.export import export_bundle
from uhd_edge.runtime import Assistant, Thought, ToolResult
from uhd_edge.runtime.conversation.chat_messages import read_messages
from uhd_edge.runtime.prompt.layout import lay_out_prompt
from uhd_edge.runtime.prompt.template import TemplateOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MISSING = missing_for_stand_in()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no stand-in can be made without {MISSING}")

TURN = {
    "type": "function",
    "function": {
        "name": "turn",
        "description": "Turn to the left or right. Größe & <b>",
        "parameters": {
            "type": "object",
            "properties": {"side": {"enum": ["left", "right"]}, "degrees": {"type": "integer", "maximum": 99}},
            "required": ["side"],
        },
    },
}
CONVERSATION: tuple[dict[str, Any], ...] = (
    {"role": "system", "content": "You are a robot."},
    {"role": "user", "content": "Turn! 你好 <think>"},
    {
        "role": "assistant",
        "content": "I turn.",
        "reasoning_content": "Which way?",
        "tool_calls": [{"type": "function", "function": {"name": "turn", "arguments": {"side": "left", "degrees": 9}}}],
    },
    {"role": "tool", "content": "done"},
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stand_in(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> Any:
    return AutoTokenizer.from_pretrained(checkpoint)


@pytest.fixture(scope="module")
def assistant(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    bundle = export_bundle(checkpoint, tmp_path_factory.mktemp("bundles") / "stand-in", llm_type="f16")
    with Assistant(bundle, threads=1, context=2048, max_slices=1) as assistant:
        yield assistant


@pytest.mark.parametrize("think", [None, True, False])
@pytest.mark.parametrize("tools", [(), (TURN,)])
@pytest.mark.parametrize("turns", [2, 4])
def test_the_tokens_of_a_prompt_are_those_of_transformers(
    tokenizer: Any, assistant: Assistant, think: bool | None, tools: tuple[dict[str, Any], ...], turns: int
) -> None:
    manifest, vocabulary = assistant.bundle.manifest, assistant._model.vocabulary
    messages, _ = read_messages(CONVERSATION[:turns], ())
    layout = lay_out_prompt(messages, [], manifest.prompt, vocabulary, TemplateOptions(think, tools))
    expected = tokenizer.apply_chat_template(
        list(CONVERSATION[:turns]),
        tools=list(tools) or None,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=False,
        **({} if think is None else {"enable_thinking": think}),
    )
    assert list(layout.parts) == [expected]
    assert layout.ends_in_thoughts == bool(think)


@pytest.mark.parametrize(("think", "digest"), [(None, "0d647d52e9480a4a"), (True, "1f492e2f937a342b")])
def test_the_template_writes_what_the_published_one_writes(tokenizer: Any, think: bool | None, digest: str) -> None:
    pictures = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "And?"}, {"type": "image"}]}
    written = tokenizer.apply_chat_template(
        [*CONVERSATION, {"role": "assistant", "content": "Done."}, pictures],
        tools=[TURN],
        add_generation_prompt=True,
        tokenize=False,
        **({} if think is None else {"enable_thinking": think}),
    )
    assert "<|image_pad|>\nAnd?\n<|image_pad|>" in written
    assert hashlib.sha256(written.encode()).hexdigest()[:16] == digest  # of the published template


def test_tags_are_single_tokens_and_the_ends_of_an_answer_are_known(assistant: Assistant) -> None:
    vocabulary, prompt = assistant._model.vocabulary, assistant.bundle.manifest.prompt
    for tag in ("<think>", "</think>", "<tool_call>", "</tool_call>", "<|im_end|>", "<|image_pad|>"):
        assert len(vocabulary.tokenize(tag)) == 1
    for end in ("<|im_end|>", "<|endoftext|>"):
        assert vocabulary.tokenize(end)[0] in prompt.stop_ids


def test_thoughts_and_an_answer_are_streamed_as_they_are_whole(assistant: Assistant) -> None:
    options: Any = {"think": True, "think_tokens": 20, "max_tokens": 12}
    pieces = list(stream := assistant.stream(picture(0, 90, 60), "What is it?", **options))
    answer = stream.answer
    assert "".join(piece for piece in pieces if isinstance(piece, Thought)).strip() == answer.thinking != ""
    assert "".join(piece for piece in pieces if not isinstance(piece, Thought)).strip() == answer.text
    assert assistant.ask(picture(0, 90, 60), "What is it?", **options).text == answer.text


@pytest.mark.parametrize("seed", range(3))
def test_a_required_call_parses_and_its_result_goes_on(assistant: Assistant, seed: int) -> None:
    session = assistant.session(picture(0, 90, 60))
    options: Any = {"temperature": 1.0, "seed": seed, "think": seed == 1, "think_tokens": 9}
    answer = session.ask("Turn!", tools=[TURN], tool_choice="required", **options)
    (call,) = answer.tool_calls
    assert call.name == "turn"
    assert call.arguments["side"] in ("left", "right")
    assert call.arguments.get("degrees", 0) <= 99
    later = session.ask([ToolResult(call, "done")], tool_choice="none", schema={"enum": ["yes", "no"]}, **options)
    assert later.parsed in ("yes", "no")
