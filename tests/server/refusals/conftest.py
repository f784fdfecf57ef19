"""A server with narrow limits, and a check that it answers after every refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.running_server import CHAT, Running, about_the_bench, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    limits = ("--max-body", "0.3", "--max-pixels", "1", "--queue", "1", "--one-at-a-time")
    with running(*limits) as server:
        yield server


@pytest.fixture(autouse=True)
def _the_next_request_is_answered(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "server" in request.fixturenames:
        reply = request.getfixturevalue("server").request("POST", CHAT, about_the_bench())
        assert reply.json["choices"][0]["message"]["content"] == "JX7"
