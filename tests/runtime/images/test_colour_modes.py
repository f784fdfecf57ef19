"""Every mode of Pillow with 8 bits a channel becomes RGB as in transformers, or as Pillow itself converts it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from support.images.files import encoded, picture
from transformers.image_transforms import convert_to_rgb

from uhd_edge.runtime.images.loading import load_image


def in_mode(mode: str) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (6, 8, 4), dtype=np.uint8)
    values[0, :4, 3] = 0
    if mode in ("La", "LA"):
        return Image.fromarray(values, "RGBA").convert("LA").convert(mode)
    if mode == "RGBa":
        return Image.fromarray(values, "RGBA").convert(mode)
    return Image.frombytes(mode, (8, 6), values[..., : len(Image.getmodebands(mode) * "x")].tobytes())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_every_mode_of_8_bits_becomes_rgb_as_in_transformers(mode: str) -> None:
    image = in_mode(mode)
    assert image.mode == mode
    result = load_image(image)
    assert result.mode == "RGB"
    assert np.array_equal(np.asarray(result), convert_to_rgb(image, return_numpy=True))


def test_the_a_of_lab_is_no_alpha() -> None:
    image = picture().convert("LAB")
    assert np.array_equal(np.asarray(load_image(image)), np.asarray(image.convert("RGB")))
    difference = np.asarray(load_image(image)).astype(int) - np.asarray(picture())
    assert abs(difference).mean() < 4  # what LAB of 8 bits loses


@pytest.mark.parametrize(("mode", "divided"), [("RGBa", "RGBA"), ("La", "LA")])
def test_colours_multiplied_by_alpha_are_laid_on_white(mode: str, divided: str) -> None:
    image = in_mode(mode)
    transparent = np.asarray(image.getchannel("a")) == 0
    assert transparent.any()
    result = np.asarray(load_image(image))
    assert np.array_equal(result, convert_to_rgb(image.convert(divided), return_numpy=True))
    assert (result[transparent] == 255).all()


def test_alpha_in_a_palette_counts() -> None:
    image = Image.frombytes("P", (2, 1), b"\x00\x01")
    image.putpalette([9, 8, 7, 0, 200, 100, 50, 255], "RGBA")
    result = np.asarray(load_image(image))
    assert np.array_equal(result, convert_to_rgb(image.convert("RGBA"), return_numpy=True))
    assert result.tolist() == [[[255, 255, 255], [200, 100, 50]]]


@pytest.mark.parametrize("transparency", [3, bytes(range(0, 250, 5))])
def test_transparent_colours_of_a_palette_become_white(transparency: int | bytes) -> None:
    photo = encoded(picture().quantize(50), "PNG", transparency=transparency)
    opened = Image.open(io.BytesIO(photo))
    assert np.array_equal(np.asarray(load_image(photo)), convert_to_rgb(opened, return_numpy=True))
    assert (np.asarray(load_image(photo)) == 255).all(axis=2).any()
