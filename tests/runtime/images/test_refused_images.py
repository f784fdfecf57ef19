"""What is no image that can be read is told in one line, with the name of its file."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.images.files import encoded, message, picture

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


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


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3), np.int32),
        np.zeros((4, 4, 3), bool),
        np.zeros((4, 4, 3), np.int64),
        np.zeros((4, 4), np.complex64),
        np.zeros((4, 4, 4), np.float32),
        np.zeros((3, 4, 5), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_an_array_of_another_dtype_or_shape_is_refused(pixels: Any) -> None:
    text = message(pixels)
    assert f"{pixels.dtype} {list(pixels.shape)}" in text
    assert "uint8 [H, W, 3]" in text


def test_an_array_of_four_channels_is_refused_because_their_order_is_unknown() -> None:
    text = message(np.zeros((4, 4, 4), np.uint8))
    assert "RGBA, BGRA or CMYK" in text
    assert "Image.fromarray" in text


@pytest.mark.parametrize(
    "image", [np.zeros((0, 4, 3), np.uint8), np.zeros((4, 0, 3), np.uint8), np.zeros((4, 0)), Image.new("RGB", (0, 5))]
)
def test_an_image_without_pixels_is_refused(image: Any) -> None:
    assert "nothing to see" in message(image)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_an_array_that_is_masked_all_over_is_refused_and_nothing_else_is_said(
    dtype: type, channels: tuple[int, ...]
) -> None:
    text = message(np.ma.masked_all((4, 4, *channels), dtype))
    assert text == "the array: every value is masked; there is nothing to see"


@pytest.mark.parametrize("image", [None, 7, [picture()], {"image": 1}])
def test_something_else_is_refused_by_its_type(image: Any) -> None:
    assert f"not {type(image).__name__}" in message(image)
