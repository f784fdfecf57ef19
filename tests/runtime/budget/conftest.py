"""The built-in bundle, and its language model in a small context, so that plans of many tokens do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.llm.language_model import LanguageModel

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open()


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> Iterator[LanguageModel]:
    with LanguageModel(bundle.llm_path, context=512, threads=1) as opened:
        yield opened
