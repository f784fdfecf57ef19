"""What a server allows, as one value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerOptions:
    """Limits and permissions of a server.

    `token` is what a request must bring as its bearer token; None lets everybody in.
    `max_body` is in bytes, `max_pixels` counts those of all images of a request together,
    `time_limit` is in seconds from the request's arrival to the end of its answer. `queue`
    requests wait beside the one being answered. `local_names` says that only requests to
    this machine's own names are taken, see `uhd_edge.server.guard`.
    """

    token: str | None = None
    max_body: int = 32 * 2**20
    max_pixels: int = 25_000_000
    time_limit: float = 300.0
    queue: int = 8
    allow_remote_images: bool = False
    local_names: bool = True
