"""The official client of a module's `server`, and the built-in model at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

from uhd_edge.runtime import Assistant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.running_server import Running


@pytest.fixture(scope="module")
def client(server: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def assistant() -> Iterator[Assistant]:
    with Assistant(threads=1) as assistant:
        yield assistant
