"""`uhd ask`: one question about images or videos."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from uhd_edge.cli.images import check_images, split_mode, with_own_mode
from uhd_edge.cli.options import (
    answering_options,
    ask_options,
    max_frames_option,
    open_assistant,
    opening_options,
    stack_frames_option,
)
from uhd_edge.cli.printing import print_pieces, say_budget
from uhd_edge.cli.unused import say_unused_stack_frames, say_unused_think_tokens

if TYPE_CHECKING:
    from uhd_edge.runtime.images.video import MediaInput

STANDARD_INPUT = "-"


class AskCommand(click.Command):
    """`uhd ask`, to which `-@4x` looks like an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; raises `UsageError` with the way to give standard input a mode of its own."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if not error.option_name.startswith(f"{STANDARD_INPUT}@"):
                raise
            advice = "an image from standard input has a mode of its own behind --: uhd ask -- -@4x QUESTION"
            raise click.UsageError(advice, ctx) from error


@click.command(cls=AskCommand)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.argument("question")
@opening_options
@answering_options
@max_frames_option
@stack_frames_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object with the answer, usage, views and timings.")
@click.option(
    "--show", is_flag=True, help="Show the slices and tokens of each image, in the terminal or in a file that is named."
)
def ask(
    images: tuple[str, ...],
    question: str,
    *,
    max_frames: int,
    stack_frames: int,
    as_json: bool,
    show: bool,
    **given: Any,
) -> None:
    """Ask QUESTION about one or more images or videos; `-` reads an image from standard input.

    IMAGE@4x and IMAGE@16x give an image a mode of its own.
    """
    request = ask_options(given)
    check_images(images)
    say_unused_stack_frames([split_mode(image)[0] for image in images], stack_frames)
    with open_assistant(given, images) as assistant:
        say_unused_think_tokens(assistant.bundle.manifest.prompt, given["think"])
        decode = partial(_media_input, max_frames=max_frames, stack_frames=stack_frames)
        inputs = [with_own_mode(image, decode) for image in images]
        if as_json:
            answer = assistant.ask(inputs, question, **request)
            opening = {stage: round(milliseconds, 3) for stage, milliseconds in assistant.opening_ms.items()}
            click.echo(json.dumps(answer.to_dict() | {"opening_ms": opening}, ensure_ascii=False))
        elif request.get("schema") is not None:  # JSON is printed whole or not at all
            answer = assistant.ask(inputs, question, **request)
            click.echo(answer.text)
        else:
            answer = print_pieces(assistant.stream(inputs, question, **request))
        say_budget(answer, given)
        if show:
            from uhd_edge.cli.showing.pictures import show_answer

            names = [split_mode(image)[0] for image in images]
            show_answer(names, inputs, answer, assistant.bundle.manifest, max_slices=given["max_slices"])
        for note in assistant.notes:
            click.echo(f"uhd: {note}", err=True)
    click.get_current_context().obj.all_closed = True


def _media_input(image: str, *, max_frames: int, stack_frames: int) -> MediaInput:
    """Return what `Assistant.ask` takes for an argument; raises `ImageError` when standard input is closed."""
    from uhd_edge.runtime.errors import ImageError
    from uhd_edge.runtime.images.video import Video, is_video

    if image != STANDARD_INPUT:
        return Video(image, max_frames, stack_frames) if is_video(image) else image
    if sys.stdin is None or sys.stdin.closed:
        raise ImageError("standard input is closed; pipe an image into it, or name a file instead of `-`")
    return sys.stdin.buffer.read()
