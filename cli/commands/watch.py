"""`uhd watch`: a question about the newest frame of a camera, over and over."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click

from uhd_edge.cli.options import OPENING, answering_options, ask_options, opening_options
from uhd_edge.cli.unused import say_unused_think_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime.options import AskOptions
    from uhd_edge.runtime.watch import WatchResult


@click.command()
@click.argument("source")
@click.argument("question")
@opening_options
@answering_options
@click.option(
    "--every",
    type=click.FloatRange(0, 1e9),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="Ask no more often.",
)
@click.option(
    "--on-change",
    type=click.FloatRange(0, 255),
    default=0.0,
    show_default=True,
    metavar="LEVELS",
    help="Ask only when a part of the picture has changed by so many grey levels (0 to 255).",
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N answers.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON object a line: what `uhd ask --json` has, and frame."
)
def watch(
    source: str, question: str, *, every: float, on_change: float, count: int | None, as_json: bool, **given: Any
) -> None:
    """Ask QUESTION about the newest frame of SOURCE, over and over, and print a line for each answer.

    SOURCE is a camera (/dev/video0), an address (rtsp://.., http://.., https://..) or a video, which
    is played at its own speed. A stream that is lost is opened again.
    """
    from uhd_edge.runtime.images.camera import camera_frames, check_source

    check_source(source)
    frames = camera_frames(source, tell=lambda line: click.echo(f"uhd: {line}", err=True))
    request = ask_options(given)
    asyncio.run(_watch(frames, question, given, request, (every, on_change, count, as_json)))
    click.get_current_context().obj.all_closed = True


async def _watch(
    frames: Iterator[Any],
    question: str,
    given: dict[str, Any],
    request: AskOptions,
    how: tuple[float, float, int | None, bool],
) -> None:
    from uhd_edge.runtime.async_assistant import AsyncAssistant

    every, on_change, count, as_json = how
    answered = 0
    async with AsyncAssistant(given["bundle"], **{name: given[name] for name in OPENING}) as assistant:
        say_unused_think_tokens((await assistant.opened()).manifest.prompt, given["think"])
        for note in assistant.notes:
            click.echo(f"uhd: {note}", err=True)
        async with aclosing(assistant.watch(frames, question, every=every, on_change=on_change, **request)) as results:
            async for seen in results:
                click.echo(_as_line(seen, as_json))
                answered += 1
                if answered == count:
                    return


def _as_line(seen: WatchResult, as_json: bool) -> str:
    if not as_json:
        return " ".join(seen.answer.text.split())
    return json.dumps({"frame": seen.frame, "dropped": seen.dropped, **seen.answer.to_dict()}, ensure_ascii=False)
