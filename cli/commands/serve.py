"""`uhd serve`: a bundle behind OpenAI's chat-completions API."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from uhd_edge.cli.bundle import one_bundle
from uhd_edge.cli.options import OPENING, opening_options

if TYPE_CHECKING:
    from uhd_edge.server.options import ServerOptions

TOKEN_VARIABLE = "UHD_TOKEN"  # noqa: S105  # a name
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class _FiniteRange(click.FloatRange):
    """A range that excludes NaN and infinity, even if it has no upper end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


@click.command()
@click.argument("folder", metavar="[BUNDLE]", required=False)
@opening_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all of them.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes any free one.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File with the bearer token that clients must send.",
)
@click.option("--allow-remote-images", is_flag=True, help="Fetch images by http(s), from public addresses only.")
@click.option(
    "--queue", type=click.IntRange(min=0), default=8, show_default=True, help="Most requests that wait at a time."
)
@click.option(
    "--at-once",
    type=click.IntRange(1, 16),
    default=4,
    show_default=True,
    help="Most requests that are answered at a time, each with a context of its own.",
)
@click.option("--one-at-a-time", is_flag=True, help="Answer each request alone, as --at-once 1 does.")
@click.option("--time-limit", type=_FiniteRange(min=1), default=300, show_default=True, help="Seconds per request.")
@click.option(
    "--max-body", type=_FiniteRange(min=0.01), default=32, show_default=True, help="Megabytes per request body."
)
@click.option(
    "--cache-mb",
    type=_FiniteRange(0, 1e6),
    metavar="MB",
    show_default="room for 200 views",
    help="Size of the embedding cache in megabytes.",
)
@click.option(
    "--max-pixels",
    type=_FiniteRange(0.01, 100),
    default=25,
    show_default=True,
    help="Megapixels per request, all images together.",
)
@click.option("--no-page", is_flag=True, help="Show no page at /.")
@click.option("--strict", is_flag=True, help="Refuse what is unknown or not in OpenAI's form, instead of adapting it.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Answer only requests to this name, and to localhost. May be repeated.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let web pages of this origin ask, such as http://localhost:3000; * is all. May be repeated.",
)
def serve(
    folder: str | None,
    *,
    host: str,
    port: int,
    token_file: Path | None,
    allow_remote_images: bool,
    queue: int,
    at_once: int,
    one_at_a_time: bool,
    time_limit: float,
    max_body: float,
    max_pixels: float,
    cache_mb: float | None,
    no_page: bool,
    strict: bool,
    origins: tuple[str, ...],
    hosts: tuple[str, ...],
    **given: Any,
) -> None:
    """Serve OpenAI's chat-completions API with BUNDLE, or without it with the built-in uhd-tiny.

    Up to --at-once requests are answered at a time, a step of each in turn, so that a long answer
    does not hold up a short one. Up to --queue more wait; others get status 429. Clients
    need a bearer token if one is set, as the first line of --token-file or in the environment
    variable UHD_TOKEN; without a token, anyone who can reach the address may ask. The first
    Ctrl-C or SIGTERM finishes the requests in progress, a second one exits at once.
    """
    import asyncio

    from uhd_edge.engines.extras import extra_needed
    from uhd_edge.runtime.async_assistant import AsyncAssistant
    from uhd_edge.runtime.bundles.bundle import Bundle

    with extra_needed("serve", "a server"):
        from uhd_edge.server.cache_room import room_for_views
        from uhd_edge.server.memory import give_large_blocks_back
        from uhd_edge.server.options import ServerOptions
        from uhd_edge.server.serving import listening_socket, switch_threads_sooner
        from uhd_edge.server.serving import serve as serve_until_signal

    named, at_once = one_bundle(folder, given["bundle"]), 1 if one_at_a_time else at_once
    options = ServerOptions(
        token=_token(token_file),
        max_body=int(max_body * 1e6),
        max_pixels=int(max_pixels * 1e6),
        time_limit=time_limit,
        queue=queue,
        at_once=at_once,
        allow_remote_images=allow_remote_images,
        local_names=host in LOOPBACK,
        page=not no_page,
        strict=strict,
        hosts=hosts,
        origins=tuple(origin.rstrip("/") for origin in origins),  # a browser names its page without one
    )
    give_large_blocks_back()
    switch_threads_sooner()
    listening = listening_socket(host, port)
    bundle = Bundle.open(named)
    cache_bytes = room_for_views(bundle.manifest, given["mode"]) if cache_mb is None else int(cache_mb * 1e6)
    opening = {name: given[name] for name in OPENING}
    assistant = AsyncAssistant(
        bundle, queue=queue, at_once=at_once, cache_bytes=cache_bytes, keep_prompts=True, **opening
    )
    address, taken = listening.getsockname()[:2]
    where = f"http://{f'[{address}]' if ':' in address else address}:{taken}/v1"

    def ready(model: str) -> None:
        click.echo(f"uhd: {model} answers at {where}{_who(options)}", err=True)
        for note in assistant.notes:
            click.echo(f"uhd: {note}", err=True)

    asyncio.run(serve_until_signal(assistant, options, listening, ready))


def _who(options: ServerOptions) -> str:
    if options.token is not None:
        return " to clients with the token"
    if options.local_names:
        return ""
    names = "" if options.hosts else ", and --allow-host to keep out web pages of other sites"
    return f" to anyone who can reach it; set a token with --token-file{names}"


def _token(file: Path | None) -> str | None:
    """Return the bearer token from the file or the environment; raises `OptionError` for an empty one."""
    from uhd_edge.runtime.errors import OptionError

    if file is None:
        token, place = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
        if token is None:
            return None
    else:
        try:
            token, place = file.read_text(encoding="utf-8").partition("\n")[0], str(file)
        except (OSError, ValueError) as error:
            raise OptionError(f"{file}: the token cannot be read ({error})") from error
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise OptionError(f"{place}: the token is empty or has characters other than ASCII; choose another one")
    return token
