"""Options that were given but count for nothing here; each is told in a line on standard error, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.bundles.manifest import Prompt


def say_unused_think_tokens(prompt: Prompt, think: bool | None, *, may_change: bool = False) -> None:
    """Say that --think-tokens was given for a model that does not think; with `may_change`, for one that cannot."""
    if not was_given("think_tokens"):
        return
    can_think = _may_think(prompt, think=True)
    if _may_think(prompt, think=think) or (can_think and may_change) or (think and not can_think):
        return  # thoughts may come, or the question itself is refused
    reason = "does not think unless it is asked to; add --think" if can_think else "cannot think"
    click.echo(f"uhd: --think-tokens has no effect, because this model {reason}", err=True)


def say_unused_stack_frames(images: Sequence[str], stack_frames: int, *, more_may_come: bool = False) -> None:
    """Say that --stack-frames was given without a video; `images` are names of files."""
    from uhd_edge.runtime.images.video import is_video

    if stack_frames > 1 and not any(map(is_video, images)):
        later = " yet" if more_may_come else ""
        click.echo(f"uhd: --stack-frames has no effect{later}, because none of the images is a video", err=True)


def refuse_beside(option: str, names: Sequence[str]) -> None:
    """Raise `UsageError` for the first of the options `names`, as they are called in Python, that was typed."""
    for name in names:
        if was_given(name):
            raise click.UsageError(f"--{name.replace('_', '-')} counts for nothing beside {option}; leave it out")


def was_given(option: str) -> bool:
    """Whether the option called `option` in Python was typed, and is not its default."""
    source = click.get_current_context().get_parameter_source(option)
    return source is not None and source.name != "DEFAULT"


def _may_think(prompt: Prompt, *, think: bool | None) -> bool:
    from uhd_edge.runtime.errors import UhdError
    from uhd_edge.runtime.prompt.thinking import check_think

    try:
        return check_think(prompt, think)
    except UhdError:  # from templates that take no plain question too
        return False
