"""Limits and permissions of a server, as one value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerOptions:
    """Limits and permissions of a server.

    `token` is the bearer token that requests must have; None lets everyone in. `max_body` is in
    bytes. `max_pixels` limits all images of a request together. `time_limit` is in seconds, from
    the arrival of a request to the end of its answer. `at_once` requests are answered at a time, and `queue` more
    may wait. With `local_names`, only requests to this machine's own names are
    accepted; see `uhd_edge.server.guard`. `strict` refuses what is unknown or differs from OpenAI's
    form, instead of ignoring or translating it. Web pages of `origins` may ask ("*" is all).
    `hosts` are more names that requests may be made to; with any, others than those and the own are refused.
    `page` shows a page at `/`.
    """

    token: str | None = None
    max_body: int = 32 * 2**20
    max_pixels: int = 25_000_000
    time_limit: float = 300.0
    queue: int = 8
    at_once: int = 1
    allow_remote_images: bool = False
    local_names: bool = True
    strict: bool = False
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    page: bool = True
