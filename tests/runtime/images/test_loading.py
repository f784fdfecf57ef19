"""Loading: any way a picture can be given, and how it stands."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from support.images.files import encoded, picture, same

from uhd_edge.runtime.images.loading import load_image


def test_a_path_bytes_an_image_and_an_array_give_the_same_pixels(tmp_path: Path) -> None:
    image = picture()
    file = tmp_path / "photo.png"
    image.save(file)
    for given_as in (file, str(file), file.read_bytes(), bytearray(file.read_bytes()), image, np.asarray(image)):
        assert same(load_image(given_as), image)


def test_an_array_need_not_be_contiguous() -> None:
    pixels = np.asarray(picture())[::-1, ::2]
    assert np.array_equal(np.asarray(load_image(pixels)), pixels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_photo_is_turned_upright(kind: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = encoded(picture(), kind, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(photo))).convert("RGB")
    file = tmp_path / "photo"
    file.write_bytes(photo)
    assert same(load_image(photo), expected)
    assert same(load_image(file), expected)


def test_an_image_the_caller_opened_is_not_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = Image.open(io.BytesIO(encoded(picture(), exif=exif)))
    assert same(load_image(opened), picture())


def test_a_photo_with_damaged_exif_is_still_a_photo() -> None:
    photo = encoded(picture(), exif=b"Exif\0\0neither II nor MM")
    with pytest.raises(SyntaxError, match="not a TIFF file"):
        Image.open(io.BytesIO(photo)).getexif()
    assert same(load_image(photo), picture())


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (9, 7), colour) for colour in ("red", "lime", "blue")]
    movie = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert same(load_image(movie), frames[0])
