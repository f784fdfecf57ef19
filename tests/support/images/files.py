"""Pictures as the bytes of a file, and the message with which loading refuses one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.loading import load_image


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
