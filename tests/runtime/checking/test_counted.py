from __future__ import annotations

import pytest

from uhd_edge.runtime.checking.counted import counted


@pytest.mark.parametrize(("number", "words"), [(0, "0 views"), (1, "1 view"), (2, "2 views"), (21, "21 views")])
def test_one_thing_is_named_as_one(number: int, words: str) -> None:
    assert counted(number, "view") == words
