"""An answer is written: first the model's thoughts, where it thinks, then the text and the calls of tools."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from uhd_edge.runtime.answer import RankedText
from uhd_edge.runtime.generation.logprobs import trim_to
from uhd_edge.runtime.generation.said import Said
from uhd_edge.runtime.generation.thoughts import OPENING, Thoughts, after, read_head, think
from uhd_edge.runtime.generation.token_source import TokenSource
from uhd_edge.runtime.llm.stopping import StoppedText
from uhd_edge.runtime.prompt.thinking import THINK_END, THINK_START, knows_thoughts
from uhd_edge.runtime.tools.call_format import CALL_END, CALL_START, find_call_format

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from uhd_edge.runtime.answer import FinishReason, TokenLogprob, ToolCall
    from uhd_edge.runtime.bundles.manifest import Prompt
    from uhd_edge.runtime.conversation.request import Settings
    from uhd_edge.runtime.generation.calls import CallWriter
    from uhd_edge.runtime.llm.language_model import LanguageModel
    from uhd_edge.runtime.llm.streaming import TextStream


@dataclass(frozen=True)
class WrittenAnswer:
    """What the model wrote; `tokens` counts all of it, `thinking_tokens` its thoughts alone."""

    text: str
    thinking: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: FinishReason
    tokens: int
    thinking_tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()


def find_grammars(settings: Settings, prompt: Prompt) -> list[str]:
    """Return the grammars that an answer, and a call in its place, are kept to. Raises `OptionError`."""
    grammars = [] if settings.schema is None else [settings.schema.grammar]
    tools = settings.tools.callable
    if tools:
        from uhd_edge.runtime.tools.call_grammar import build_call_grammar  # which most questions do without

        grammars.append(build_call_grammar(tools, find_call_format(prompt.chat_template)))
    return grammars


def write_answer(
    settings: Settings,
    model: LanguageModel,
    prompt: Prompt,
    *,
    in_thoughts: bool,
    on_token: Callable[[], None] = lambda: None,
) -> Generator[str, None, WrittenAnswer]:
    """Generate an answer to the prompt that the model has read, up to the first of the settings' stops.

    `in_thoughts` says that the prompt ends where thoughts begin. Yields a piece of text for every
    token, perhaps an empty one; those of the thoughts are `Thought`s. Raises `ModelError`.
    """
    tags = [THINK_START, THINK_END] if knows_thoughts(prompt) else []
    tags += [CALL_START, CALL_END] if settings.tools.callable else []
    with TokenSource(
        model,
        settings.sampling,
        stop_ids=prompt.stop_ids,
        on_token=on_token,
        tags=tags,
        logprobs=settings.logprobs,
    ) as source:
        constrained = settings.schema is not None or settings.tools.must_call
        if constrained and settings.think and not in_thoughts:
            source.put(OPENING)
            in_thoughts = True
        thoughts = Thoughts()
        if in_thoughts:
            thoughts = yield from think(settings, source, constrained=constrained)
            source.ranked.clear()
        if constrained:
            said = yield from _ranked(_write_constrained(settings, source, prompt), settings, source)
        else:
            answer = _begin(source, settings.max_tokens, thoughts.rest)
            if knows_thoughts(prompt) and not in_thoughts and not settings.continues:
                head = yield from read_head(iter(answer.stream))
                answer = replace(answer, text=head.text)
                if head.thoughts is not None:
                    thoughts = yield from think(settings, source, head.thoughts, constrained=False)
                    source.ranked.clear()
                    answer = _begin(source, settings.max_tokens, thoughts.rest)
            said = yield from _ranked(_write_freely(settings, source, prompt, answer), settings, source)
        text = said.text.rstrip() if settings.continues else said.text.strip()
        ranked = tuple(source.ranked) if said.tool_calls else trim_to(source.ranked, text)
        return WrittenAnswer(
            text,
            thoughts.text.strip(),
            said.tool_calls,
            said.finish_reason,
            source.count,
            thoughts.tokens,
            ranked,
        )


def _ranked(writing: Generator[str, None, Said], settings: Settings, source: TokenSource) -> Generator[str, None, Said]:
    """Give each piece of text the tokens since the one before, if the settings ask for their probabilities."""
    if settings.logprobs is None:
        return (yield from writing)
    told = 0
    while True:
        try:
            piece = next(writing)
        except StopIteration as end:
            said: Said = end.value
            return said
        if not piece:
            yield piece
            continue
        yield RankedText(piece, tuple(source.ranked[told:]))
        told = len(source.ranked)


@dataclass(frozen=True)
class _Beginning:
    """An answer that has begun: the stream of its tokens, the text so far, and the source's count at its end."""

    stream: TextStream
    text: str
    end: int


def _begin(source: TokenSource, most: int, text: str) -> _Beginning:
    return _Beginning(source.stream(most), text, source.count + most)


def _write_constrained(settings: Settings, source: TokenSource, prompt: Prompt) -> Generator[str, None, Said]:
    """Generate JSON that fits the schema, or calls where the model begins one or has to."""
    end = source.count + settings.max_tokens
    if settings.schema is None or settings.tools.must_call:
        return (yield from _call_writer(settings, source, prompt, end).write_call())
    if settings.tools.callable:
        writer = _call_writer(settings, source, prompt, end)
        return (yield from writer.write_calls_or(settings.schema.grammar, settings.stops))
    stream = source.stream(settings.max_tokens, grammar=settings.schema.grammar)
    return (yield from _write_text(stream, "", settings.stops))


def _write_freely(
    settings: Settings, source: TokenSource, prompt: Prompt, answer: _Beginning
) -> Generator[str, None, Said]:
    """Generate the rest of the text, and what calls the model makes."""
    if not settings.tools.callable:
        return (yield from _write_text(answer.stream, answer.text, settings.stops))
    writer = _call_writer(settings, source, prompt, answer.end)
    return (yield from writer.write_text(answer.stream, answer.text, settings.stops))


def _write_text(stream: TextStream, head: str, stops: tuple[str, ...]) -> Generator[str, None, Said]:
    stopped, text = StoppedText(after(head, iter(stream)), stops), ""
    for piece in stopped:
        text += piece
        yield piece
    return Said(text, "stop" if stopped.found else stream.finish_reason)


def _call_writer(settings: Settings, source: TokenSource, prompt: Prompt, end: int) -> CallWriter:
    from uhd_edge.runtime.generation.calls import CallWriter  # which most questions do without

    call_format = find_call_format(prompt.chat_template)
    return CallWriter(source, settings.tools, call_format, end=end, placeholder=prompt.tokens.image)
