"""What the tests of the runtime share: bundles that answer, and assistants on them."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING

import pytest
from support.answering_bundle import bundle_of, save

from uhd_edge.runtime import Assistant, Bundle

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=["qwen3", "hybrid"])
def trained(request: pytest.FixtureRequest) -> Bundle:
    """A plain transformer, and a hybrid with recurrent layers."""
    bundle: Bundle = request.getfixturevalue(f"{request.param}_bundle")
    return bundle


@pytest.fixture(scope="module")
def fresh(trained: Bundle) -> Iterator[Assistant]:
    """An assistant that reads every conversation anew, for what a session says to be compared with."""
    with Assistant(trained, threads=1) as assistant:
        yield assistant


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Copying graphs and a random language model; do not write into it."""
    return save(bundle_of(tmp_path_factory.mktemp("bundles") / "answering"))


@pytest.fixture
def assistant(bundle: Bundle) -> Iterator[Assistant]:
    with Assistant(bundle, threads=1) as assistant:
        yield assistant


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    gc.collect()
    assert set(threading.enumerate()) <= before
