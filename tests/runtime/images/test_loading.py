"""Loading: any way a picture can be given, and any way it can be broken."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from transformers.image_transforms import convert_to_rgb

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.loading import load_image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def picture(width: int = 40, height: int = 24, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def same(left: Image.Image, right: Image.Image) -> bool:
    return left.mode == right.mode == "RGB" and np.array_equal(np.asarray(left), np.asarray(right))


def message(image: Any, **options: Any) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(image, **options)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


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


def in_mode(mode: str) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (6, 8, 4), dtype=np.uint8)
    if mode in ("I;16", "I"):
        return Image.fromarray(values[..., 0].astype(np.uint16 if mode == "I;16" else np.int32) * 3)
    if mode == "F":
        return Image.fromarray(values[..., 0].astype(np.float32) * 1.7)
    if mode in ("La", "LA"):
        return Image.fromarray(values, "RGBA").convert("LA").convert(mode)
    if mode == "RGBa":
        return Image.fromarray(values, "RGBA").convert(mode)
    return Image.frombytes(mode, (8, 6), values[..., : len(Image.getmodebands(mode) * "x")].tobytes())


COLOUR_MODES = ["P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LAB"]
GREY_MODES = ["1", "L", "LA", "La", "I;16", "I", "F"]


@pytest.mark.parametrize("mode", COLOUR_MODES + GREY_MODES)
def test_every_mode_becomes_rgb_as_in_transformers(mode: str) -> None:
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


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (9, 7), colour) for colour in ("red", "lime", "blue")]
    movie = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert same(load_image(movie), frames[0])


def test_a_missing_file_a_folder_and_an_empty_file_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.touch()
    assert message(tmp_path / "none.png").startswith(f"{tmp_path / 'none.png'}: no such file")
    assert message(str(tmp_path)).startswith(f"{tmp_path}: is a folder")
    assert message(empty).startswith(f"{empty}: the file is empty")
    assert "no bytes" in message(b"")


def test_paths_that_cannot_exist_are_errors_of_ours_too(tmp_path: Path) -> None:
    assert "cannot be read" in message("a\0b.png")
    assert "cannot be read" in message("x" * 5000)
    assert "\\n" in message("two\nlines.png")
    assert "is a folder" in message("")  # the empty path is the current folder


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "not a regular file" in message(pipe)


def test_text_is_not_an_image(tmp_path: Path) -> None:
    file = tmp_path / "notes.jpg"
    file.write_text("not a picture")
    assert message(file).startswith(f"{file}: not an image")
    assert "not an image" in message(b"not a picture")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_image_is_named_as_such(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "photo"
    photo = encoded(picture(200, 100), kind)
    file.write_bytes(photo[: len(photo) // 2])
    text = message(file)
    assert text.startswith(f"{file}: ")
    assert "truncated, damaged" in text


def test_a_truncated_image_that_the_caller_opened_lazily_is_an_error_of_ours() -> None:
    opened = Image.open(io.BytesIO(encoded(picture(200, 100), "JPEG")[:2000]))
    assert "truncated" in message(opened)


def test_postscript_is_never_run() -> None:
    assert "EPS" in message(encoded(picture(), "EPS"))


def test_the_pixel_limit_is_read_from_the_header_before_anything_is_decoded() -> None:
    photo = encoded(picture(30, 20))
    header_only = photo[:41]  # up to the start of the pixels: decoding it would say "truncated"
    for image in (photo, header_only, picture(30, 20), np.asarray(picture(30, 20))):
        text = message(image, max_pixels=599)
        assert "30 x 20 pixels are over the limit of 599" in text
        assert "higher max_pixels" in text
    assert load_image(photo, max_pixels=600).size == (30, 20)


def test_the_default_limit_is_a_hundred_megapixels() -> None:
    assert "over the limit of 100000000 pixels" in message(bmp_header(10_001, 10_000))
    assert "truncated" in message(bmp_header(10_000, 10_000))


def test_pillows_own_bomb_guard_does_not_leak() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        text = message(bmp_header(20_000, 20_000))
        assert "limit of 100000000 pixels" in text
        assert "higher max_pixels" in text
        text = message(bmp_header(20_000, 20_000), max_pixels=10**9)
        assert "PIL.Image.MAX_IMAGE_PIXELS" in text
        assert "truncated" in message(bmp_header(9_500, 9_500))  # Pillow warns from 89 megapixels on
    assert seen == []


def bmp_header(width: int, height: int) -> bytes:
    """The header of a BMP of that size, and nothing after it."""
    small = bytearray(encoded(picture(8, 8), "BMP")[:54])
    small[18:22] = width.to_bytes(4, "little")
    small[22:26] = height.to_bytes(4, "little")
    return bytes(small)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int64),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_an_array_of_another_dtype_or_shape_is_refused(pixels: Any) -> None:
    text = message(pixels)
    assert f"{pixels.dtype} {list(pixels.shape)}" in text
    assert "uint8 [H, W, 3]" in text


@pytest.mark.parametrize(
    "image", [np.zeros((0, 4, 3), np.uint8), np.zeros((4, 0, 3), np.uint8), Image.new("RGB", (0, 5))]
)
def test_an_image_without_pixels_is_refused(image: Any) -> None:
    assert "nothing to see" in message(image)


@pytest.mark.parametrize("image", [None, 7, [picture()], {"image": 1}])
def test_something_else_is_refused_by_its_type(image: Any) -> None:
    assert f"not {type(image).__name__}" in message(image)


BASES = {
    "PNG": encoded(picture()),
    "PNG palette": encoded(picture().quantize(16), transparency=3),
    "JPEG": encoded(picture(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
    "WEBP": encoded(picture(), "WEBP"),
    "GIF": encoded(picture(), "GIF", save_all=True, append_images=[picture(seed=1)]),
    "BMP": encoded(picture(), "BMP"),
}
CHANGE = st.tuples(st.floats(0, 1), st.integers(0, 255), st.sampled_from(["set", "cut", "drop", "add"]))
SETTINGS = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def mutate(photo: bytes, changes: list[tuple[float, int, str]]) -> bytes:
    for where, value, change in changes:
        # Half of the changes go into the first 64 bytes, where the structure is.
        place = int(where * 2 * min(64, len(photo))) if where < 0.5 else int((2 * where - 1) * len(photo))
        kept = {"set": photo[place + 1 :], "cut": b"", "drop": photo[place + 1 + value :], "add": photo[place:]}
        photo = photo[:place] + bytes([value]) * (change in ("set", "add")) + kept[change]
    return photo


@SETTINGS
@given(base=st.sampled_from(sorted(BASES)), changes=st.lists(CHANGE, max_size=6))
def test_a_damaged_file_gives_an_image_or_one_clear_error(
    capfd: pytest.CaptureFixture[str], base: str, changes: list[tuple[float, int, str]]
) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        check_image_or_error(mutate(BASES[base], changes))
    assert [str(warning.message) for warning in seen] == []
    assert capfd.readouterr() == ("", "")


def check_image_or_error(photo: bytes) -> None:
    try:
        image = load_image(photo, max_pixels=1_000_000)
    except ImageError as error:
        text = str(error)
    else:
        text = "fine"
        assert image.mode == "RGB"
        assert np.asarray(image).shape == (image.height, image.width, 3)
    assert "\n" not in text
