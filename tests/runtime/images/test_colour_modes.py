"""Every mode of Pillow with 8 bits a channel becomes RGB as in transformers."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from support.images.files import encoded, message, picture
from transformers.image_transforms import convert_to_rgb

from uhd_edge.runtime.images.loading import load_image


def in_mode(mode: str) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (6, 8, 4), dtype=np.uint8)
    if mode in ("La", "LA"):
        return Image.fromarray(values, "RGBA").convert("LA").convert(mode)
    if mode == "RGBa":
        return Image.fromarray(values, "RGBA").convert(mode)
    return Image.frombytes(mode, (8, 6), values[..., : len(Image.getmodebands(mode) * "x")].tobytes())


COLOUR_MODES = ["P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LAB"]
GREY_MODES = ["1", "L", "LA", "La"]


@pytest.mark.parametrize("mode", COLOUR_MODES + GREY_MODES)
def test_every_mode_of_8_bits_becomes_rgb_as_in_transformers(mode: str) -> None:
    image = in_mode(mode)
    assert image.mode == mode
    try:
        expected = convert_to_rgb(image, return_numpy=True)
    except ValueError:
        assert mode in ("La", "LAB")  # these two transformers cannot convert either
        assert "truncated, damaged or not readable" in message(image)
        return
    result = load_image(image)
    assert result.mode == "RGB"
    assert np.array_equal(np.asarray(result), expected)


@pytest.mark.parametrize("transparency", [3, bytes(range(0, 250, 5))])
def test_transparent_colours_of_a_palette_become_white(transparency: int | bytes) -> None:
    photo = encoded(picture().quantize(50), "PNG", transparency=transparency)
    opened = Image.open(io.BytesIO(photo))
    assert np.array_equal(np.asarray(load_image(photo)), convert_to_rgb(opened, return_numpy=True))
    assert (np.asarray(load_image(photo)) == 255).all(axis=2).any()
