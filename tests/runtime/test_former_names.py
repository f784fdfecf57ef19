"""Names that were changed work for one more release, and say what to use."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from uhd_edge import Answer, Assistant, Bundle, Encoded, Usage
from uhd_edge.runtime import errors, watch

TIMINGS = {"encoder": 3.25}


@pytest.mark.parametrize(("module", "former", "now"), [(errors, "Busy", "BusyError"), (watch, "Seen", "WatchResult")])
def test_a_class_has_its_former_name(module: Any, former: str, now: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"^{former} is now called {now}; ") as caught:
        assert getattr(module, former) is getattr(module, now)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("module", ["uhd_edge.runtime.errors", "uhd_edge.runtime.watch"])
def test_a_name_that_never_was_is_an_attribute_error(module: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'Nothing'"):
        _ = import_module(module).Nothing


def test_an_encoded_image_has_its_former_timings() -> None:
    encoded = Encoded(np.zeros((1, 4), np.float32), (0, 0), (), "16x", TIMINGS)
    with pytest.warns(DeprecationWarning, match=r"^Encoded.timings is now called timings_ms; ") as caught:
        assert encoded.timings is encoded.timings_ms
    assert caught[0].filename == __file__


def test_an_assistant_has_its_former_times_of_opening() -> None:
    opened: Any = SimpleNamespace(opening_ms=TIMINGS)
    opening: Any = Assistant.opening
    with pytest.warns(DeprecationWarning, match=r"^Assistant.opening is now called opening_ms; "):
        assert opening.fget(opened) is TIMINGS


def test_a_bundle_is_checked_by_its_former_name(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Bundle] = []

    def check_files(bundle: Bundle) -> None:
        checked.append(bundle)

    monkeypatch.setattr(Bundle, "check_files", check_files)
    bundle = Bundle.open()
    with pytest.warns(DeprecationWarning, match=r"^Bundle.verify is now called check_files; "):
        bundle.verify()
    assert checked == [bundle]


def test_an_answers_timings_have_two_names(recwarn: pytest.WarningsRecorder) -> None:
    answer = Answer("a cat", "stop", Usage(4, 9, 2), (), TIMINGS, "16x")
    assert answer.timings is answer.timings_ms
    assert not recwarn.list
