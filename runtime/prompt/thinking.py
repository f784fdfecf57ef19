"""Chat templates and the model's thoughts: whether a prompt asks for them, and which texts enclose them.

Qwen3, Qwen3.5 and MiniCPM-V 4.6 write thoughts as `<think>`, a newline, the thoughts, a newline,
`</think>`. A prompt may end after the first newline, so that the model begins to think at once,
or after an empty block, so that it does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.prompt.messages import as_template_message, user_message
from uhd_edge.runtime.prompt.template import TemplateOptions, render_chat

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.manifest import Prompt

THINK_START: Final = "<think>"
THINK_END: Final = "</think>"

# What closes a block of thoughts that has only been opened.
EMPTY_THOUGHTS_END: Final = f"\n{THINK_END}\n\n"

SWITCH: Final = "enable_thinking"


def ends_in_thoughts(text: str) -> bool:
    """Whether a prompt ends where the model's thoughts begin; `text` is the prompt's, or its end."""
    return text.rstrip().endswith(THINK_START)


def knows_thoughts(prompt: Prompt) -> bool:
    """Whether a model with this chat template may think."""
    return THINK_END in prompt.chat_template


def check_think(prompt: Prompt, think: bool | None) -> bool:
    """Whether the model may think before an answer to a plain question that is asked with `think`.

    Raises `OptionError` where its chat template cannot do what `think` says.
    """
    message = as_template_message(user_message("?", images=0), prompt)
    rendered = render_chat([message], prompt, TemplateOptions(think))
    require_thinking(rendered, prompt, think)
    return knows_thoughts(prompt) and not rendered.rstrip().endswith(THINK_END)


def require_thinking(text: str, prompt: Prompt, think: bool | None) -> None:
    """Raise `OptionError` unless a rendered prompt asks for thoughts as `think` says; None leaves it to the template.

    A template that knows the switch `enable_thinking` may leave it to the model to open the block.
    """
    thinks = ends_in_thoughts(text)
    if think and not thinks and not (SWITCH in prompt.chat_template and knows_thoughts(prompt)):
        raise OptionError(
            f"this model cannot be asked to think, as its chat template has no {SWITCH}; leave out think (--think)",
            parameter="think",
        )
    if think is False and thinks:
        message = "this model always thinks before it answers; leave out think=False (--no-think)"
        raise OptionError(message, parameter="think")
