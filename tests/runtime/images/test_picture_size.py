"""Sizes of pictures as they are written on a command line."""

from __future__ import annotations

import pytest

from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.images.picture_size import picture_size, picture_sizes


@pytest.mark.parametrize(("text", "size"), [("448x448", (448, 448)), ("1344X672", (1344, 672)), (" 1x1 ", (1, 1))])
def test_a_size_is_width_by_height(text: str, size: tuple[int, int]) -> None:
    assert picture_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "448", "448x", "0x448", "-1x4", "4.5x4", "448*448", "20000x20000", "\u0661x\u0661"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        picture_size(text)


def test_sizes_are_named_once() -> None:
    assert picture_sizes("448x448,20x10,448x448") == [(448, 448), (20, 10)]
