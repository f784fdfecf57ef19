"""A server with a model that can think and call, and the same model at hand, for all modules here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.running_server import Running, running
from support.server.agent_bundle import agent_bundle

from uhd_edge.runtime import Assistant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uhd_edge.runtime import Bundle


@pytest.fixture(scope="package")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return agent_bundle(tmp_path_factory.mktemp("bundles") / "agent")


@pytest.fixture(scope="package")
def assistant(bundle: Bundle) -> Iterator[Assistant]:
    with Assistant(bundle, threads=1) as assistant:
        yield assistant


@pytest.fixture(scope="package")
def server(bundle: Bundle) -> Iterator[Running]:
    with running("--bundle", str(bundle.path)) as server:
        yield server
