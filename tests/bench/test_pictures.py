"""Pictures are drawn in the requested size, or taken unchanged from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bench.small_bench import SLICED

from uhd_edge.bench.pictures import drawn_picture, read_picture
from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.loading import load_image


def test_a_drawn_picture_is_a_file_of_the_size_asked_for_and_the_same_every_time() -> None:
    picture = drawn_picture(300, 200)
    assert load_image(picture.data).size == (300, 200)
    assert picture == drawn_picture(300, 200)


def test_a_picture_file_is_measured_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "picture.jpg"
    file.write_bytes(SLICED.data)
    assert read_picture(str(file)) == SLICED
    with pytest.raises(ImageError):
        read_picture(str(tmp_path))
