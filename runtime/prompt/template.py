"""The checkpoint's own chat template, rendered as transformers renders it.

A template is code from whoever made the checkpoint, so it runs in jinja2's sandbox, with
the same few functions that transformers gives it (`transformers.utils.chat_template_utils`).
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from uhd_edge.runtime.errors import BundleError, PromptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2.parser import Parser

    from uhd_edge.runtime.bundles.manifest import Prompt


@dataclass(frozen=True)
class TemplateOptions:
    """What a chat template is told besides the messages.

    `think` None keeps the template's own default. `tools` are JSON definitions of functions.
    """

    think: bool | None = None
    tools: tuple[Mapping[str, Any], ...] = ()


AS_BY_DEFAULT = TemplateOptions()


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what the assistant says, for training; here its body is just rendered."""

    tags = {"generation"}  # noqa: RUF012  # jinja2 declares it like this

    def parse(self, parser: Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def render_chat(messages: list[dict[str, Any]], prompt: Prompt, options: TemplateOptions = AS_BY_DEFAULT) -> str:
    """Return the conversation as text that ends where the assistant's answer begins.

    `messages` are transformers' own: a role, and a list of `{"type": "image"}` and
    `{"type": "text", "text": ..}` as content. Variables that are not given here keep the
    template's default, as with the reference processor.

    Raises `PromptError` when the template refuses the conversation and `BundleError` when
    it is no template at all.
    """
    template = _compiled(prompt.chat_template)
    variables: dict[str, Any] = dict(_token_variables(prompt))
    if options.think is not None:
        variables["enable_thinking"] = options.think
    try:
        return template.render(
            messages=messages,
            tools=list(options.tools) or None,
            documents=None,
            add_generation_prompt=True,
            **variables,
        )
    except (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
        raise PromptError(f"the checkpoint's chat template refuses this conversation: {error}") from error


def _token_variables(prompt: Prompt) -> dict[str, str]:
    """Return the special tokens under the names that the reference's tokenizer hands to the template."""
    tokens = {f"{name}_token": text for name, text in prompt.tokens.model_dump().items()}
    if prompt.bos_token is not None:
        tokens["bos_token"] = prompt.bos_token
    if prompt.eos_token is not None:
        tokens["eos_token"] = prompt.eos_token
    return tokens


@functools.lru_cache(maxsize=8)
def _compiled(text: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    try:
        return environment.from_string(text)
    except jinja2.TemplateError as error:
        raise BundleError(
            f"the bundle's chat template is no valid template: {error}; export the bundle again"
        ) from error


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Unlike jinja2's own filter it leaves `<`, `>` and `&` alone: prompts are not HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().astimezone().strftime(layout)
