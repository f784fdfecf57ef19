"""A JPEG that lacks nothing but its end marker is a picture; one that lacks a block is not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import ExifTags, Image
from support.images.files import encoded, message, picture, same

from uhd_edge.runtime.images.loading import load_image

KINDS = {
    "baseline": {"quality": 80},
    "fine": {"quality": 95, "subsampling": 0},
    "progressive": {"progressive": True},
    "with restarts": {"restart_marker_rows": 1},
    "own tables": {"optimize": True},
}


def smooth() -> Image.Image:
    """A picture whose last blocks take few bits each, so that a missing one is hard to see."""
    return picture(5, 4).resize((120, 88), Image.Resampling.BICUBIC)


def test_pillow_alone_refuses_one_without_its_end_marker() -> None:
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(encoded(smooth(), "JPEG", quality=80)[:-2])).load()


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_without_its_end_marker_it_is_the_same_picture(kind: str, missing: int) -> None:
    photo = encoded(smooth(), "JPEG", **KINDS[kind])
    assert same(load_image(photo[:-missing]), load_image(photo))


@pytest.mark.parametrize("kind", ["baseline", "fine", "with restarts", "own tables"])
@pytest.mark.parametrize("picked", [smooth, picture])
def test_without_its_last_block_it_is_refused(kind: str, picked: object) -> None:
    image = smooth() if picked is smooth else picture(120, 88)
    photo = encoded(image, "JPEG", **KINDS[kind])
    for missing in (4, 7, 12, 40, len(photo) // 3):
        whole = np.asarray(load_image(photo))
        try:
            loaded = load_image(photo[:-missing])
        except Exception:
            assert "truncated" in message(photo[:-missing])
        else:
            assert np.array_equal(np.asarray(loaded), whole)  # padding alone was cut off


def test_half_of_a_photograph_is_refused() -> None:
    photo = encoded(picture(200, 100), "JPEG")
    assert "truncated" in message(photo[: len(photo) // 2])
    assert "truncated" in message(photo[:-30])


def test_one_that_ends_before_its_first_block_is_refused() -> None:
    photo = encoded(smooth(), "JPEG")
    assert "truncated" in message(photo[: photo.index(b"\xff\xda") - 2])


def test_its_orientation_counts_too() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    photo = encoded(smooth(), "JPEG", exif=exif)
    assert load_image(photo[:-2]).size == (88, 120)
    assert same(load_image(photo[:-2]), load_image(photo))
