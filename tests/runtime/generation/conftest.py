"""Answers are written alone, and beside others that read their tokens first."""

from __future__ import annotations

import pytest
from support.language_models.scripted import ScriptedModel


@pytest.fixture(params=[False, True], ids=["alone", "beside others"])
def _reading_ahead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedModel, "reads_ahead", request.param)
