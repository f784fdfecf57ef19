"""Whether a model shall think, in the words of several servers: one wish, and what becomes of it.

A wish that the model cannot follow is ignored and named, as thoughts stand beside the answer. With
`--strict` it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uhd_edge.server.errors import ApiError, wrong_type
from uhd_edge.server.media.unseen import leave_out_others
from uhd_edge.server.openai.same_meaning import EFFORTS, UNDECIDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.server.model_facts import ModelFacts

# Other servers' names of `enable_thinking`, within `chat_template_kwargs`.
_SWITCHES: Final = ("thinking", "enable_reasoning")


def translate_thinking(given: dict[str, Any], ignored: list[str], names: dict[str, str]) -> None:
    """Write other servers' wishes as `think`, `think_tokens`, `reasoning_effort` and `enable_thinking`.

    Anthropic's and DeepSeek's is `thinking` with a type, OpenRouter's and that of responses `reasoning`, Alibaba's
    `enable_thinking` beside the messages; see `same_meaning.py` for several of them. What stands for nothing here
    goes to `ignored`, and to `names` what the wishes were called.
    """

    def take(name: str, value: Any, origin: str) -> None:
        """Set what is not set yet."""
        if value is not None and given.get(name) is None:
            given[name], names[name] = value, origin

    thinking = given.pop("thinking", None)
    if isinstance(thinking, dict):
        take("think", _kind(thinking.get("type")), "thinking.type")
        take("think_tokens", thinking.get("budget_tokens"), "thinking.budget_tokens")
        leave_out_others("thinking", thinking, ("type", "budget_tokens"), ignored)
    elif thinking is not None:
        take("think", thinking, "thinking")
    take("think", given.pop("enable_thinking", None), "enable_thinking")
    reasoning = given.pop("reasoning", None)
    if isinstance(reasoning, dict):
        take("reasoning_effort", reasoning.get("effort"), "reasoning.effort")
        take("think", reasoning.get("enabled"), "reasoning.enabled")
        take("think_tokens", reasoning.get("max_tokens"), "reasoning.max_tokens")
        leave_out_others("reasoning", reasoning, ("effort", "enabled", "max_tokens"), ignored)
    elif reasoning is not None:
        raise wrong_type("reasoning", reasoning, "an object")
    if isinstance(arguments := given.get("chat_template_kwargs"), dict):
        given["chat_template_kwargs"] = _switched(arguments, names)


def _kind(given: Any) -> bool | None:
    """Read Anthropic's type of thoughts; raises `ApiError` 400 for one that there is not."""
    if given is None or given in UNDECIDED:
        return None
    if given not in ("enabled", "disabled"):
        message = "thinking.type may be enabled, disabled or adaptive"
        raise ApiError(400, message, param="thinking.type")
    return bool(given == "enabled")


def _switched(given: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return the arguments of a chat template with one name for its switch."""
    arguments = {name: value for name, value in given.items() if name not in _SWITCHES}
    for name in _SWITCHES:
        if given.get(name) is not None and arguments.get("enable_thinking") is None:
            arguments["enable_thinking"] = given[name]
            names["chat_template_kwargs.enable_thinking"] = f"chat_template_kwargs.{name}"
    return arguments


def wish_to_think(
    wishes: Mapping[str, bool | str | None], model: ModelFacts, *, strict: bool
) -> tuple[bool | None, tuple[str, ...]]:
    """Return what the model is told, None for nothing, and the name of a wish that it cannot follow.

    `wishes` are a request's by the names of their parameters, each whether to think or an effort; the first that
    is not None counts. Raises `ApiError` 400 for an effort that there is not, and if it is `strict` for a wish
    that the model cannot follow.
    """
    read = {name: _effort(name, wish) if isinstance(wish, str) else wish for name, wish in wishes.items()}
    name, wish = next(((name, wish) for name, wish in read.items() if wish is not None), ("", None))
    if wish is None or model.thinks:
        return wish, ()
    if wish is False and not model.always_thinks:
        return None, ()
    if strict:
        can = "always thinks before it answers" if model.always_thinks else "cannot be asked to think"
        raise ApiError(400, f"this model {can}; leave out {name}", param=name)
    return None, (name,)


def _effort(name: str, given: str) -> bool | None:
    if given in UNDECIDED:
        return None
    if given not in EFFORTS:
        known = ", ".join(EFFORTS)
        raise ApiError(400, f"{name} is {given[:40]!r}; it must be one of {known}", param=name)
    return EFFORTS[given]
