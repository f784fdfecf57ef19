"""A file, bytes, a PIL image or an array becomes an upright RGB image, within limits."""

from __future__ import annotations

import io
import logging
import os
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.formats.jpeg_end import decode_without_end
from uhd_edge.runtime.images.formats.jpeg_scans import refuse_endless_scans
from uhd_edge.runtime.images.formats.libtiff import silent_libtiff
from uhd_edge.runtime.images.formats.sixteen_bits import has_16_bit_colours, read_low_bytes, to_8_bits
from uhd_edge.runtime.images.input_file import check_file, reason
from uhd_edge.runtime.images.many_bits import (
    WIDE_MODES,
    colours_from_0_to_1,
    is_masked,
    spread,
    wide_image_to_rgb,
)
from uhd_edge.runtime.images.orientation import read_exif_of_jpeg2000, upright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# One image, in any form a caller may have it; `video.MediaInput` allows videos too.
ImageInput: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | NDArray[np.generic]"

# width * height; Pillow takes 400 MB for an image of as many, and at most three at once are in memory here.
DEFAULT_MAX_PIXELS = 100_000_000

# Of files that are taken from a folder of many kinds of files.
PICTURE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})

# Pillow's modes with alpha; in those with a small letter the colours are multiplied by it.
ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})

STRIP_PIXELS = 2**20  # what is laid on white at a time

# Warning filters and handlers belong to the whole process: two threads must not restore them in the wrong order.
_WHOLE_PROCESS = threading.Lock()


def load_image(image: ImageInput, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Image.Image:
    """Decode `image` completely and return it in mode RGB.

    Accepts a path, the bytes of a file (as bytes, bytearray or memoryview), a PIL image,
    an array [H, W, 3] in RGB of uint8, uint16 or floats from 0 to 1, or a grey array [H, W]
    or [H, W, 1] of booleans, integers or floats. Files and bytes are turned upright by their EXIF orientation;
    images and arrays that the caller made are taken as they are. Of several frames the
    first counts. Transparent parts become white. More than 8 bits are spread over 8 (see
    `uhd_edge.runtime.images.many_bits`); other modes are converted as in transformers'
    `convert_to_rgb`, but for LAB, whose A it takes for alpha, and for multiplied alpha, which
    Pillow divides out here and not there. Masked values of an array are black. A JPEG may lack
    the marker at its end.

    Raises `ImageError` when the file is missing, a folder, empty, truncated or not an
    image, when it has more than `max_pixels` pixels (read from its header, before
    anything is decoded), and when an array has another dtype or shape, or is masked all over.
    """
    if isinstance(image, np.ndarray):
        return _from_array(image, max_pixels)
    if isinstance(image, Image.Image):
        with _pillow_errors("the PIL image", max_pixels):
            _load(image, "the PIL image", max_pixels)
            return _in_rgb(image)
    if isinstance(image, bytes | bytearray | memoryview):
        data = bytes(image)  # a memoryview may have gaps
        if not data:
            raise ImageError("the image has no bytes; give the contents of an image file")
        return _from_file(io.BytesIO(data), "the image in bytes", max_pixels)
    if isinstance(image, str | os.PathLike):
        name = check_file(image, kind="image", error_class=ImageError)
        return _from_file(os.fsdecode(image), name, max_pixels)
    raise ImageError(
        "an image is a path, bytes, a PIL image, or an array [H, W, 3] or [H, W], "
        f"not {type(image).__name__}; convert it"
    )


def check_image(path: str | os.PathLike[str], *, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
    """Raise the `ImageError` of `load_image` for what the file's header tells; nothing is decoded."""
    name = check_file(path, kind="image", error_class=ImageError)
    with _pillow_errors(name, max_pixels), Image.open(os.fsdecode(path)) as image:
        _check_size(image.size, name, max_pixels)


def _from_array(pixels: NDArray[np.generic], max_pixels: int) -> Image.Image:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    is_rgb = pixels.ndim == 3 and pixels.shape[2] == 3
    if pixels.dtype.kind not in "buif" or (pixels.ndim != 2 and not (is_rgb and _may_be_colours(pixels.dtype))):
        raise ImageError(f"the array is {pixels.dtype} {list(pixels.shape)}; {_advice(pixels)}")
    height, width = pixels.shape[:2]
    _check_size((width, height), "the array", max_pixels)
    if is_masked(pixels) and np.all(pixels.mask):
        raise ImageError("the array: every value is masked; there is nothing to see")
    if is_rgb and pixels.dtype.kind == "f":
        pixels = colours_from_0_to_1(pixels)
    elif pixels.dtype != np.uint8:
        pixels = spread(pixels)
    image = Image.fromarray(pixels.filled(0) if is_masked(pixels) else pixels)
    return image if is_rgb else image.convert("RGB")


def _may_be_colours(dtype: np.dtype[np.generic]) -> bool:
    """Other integers may hold colours of any number of bits."""
    return dtype.kind == "f" or dtype in (np.uint8, np.uint16)


def _advice(pixels: NDArray[np.generic]) -> str:
    if pixels.ndim == 3 and pixels.shape[2] == 4 and pixels.dtype == np.uint8:
        return (
            "four channels may be RGBA, BGRA or CMYK; "
            'give RGB [H, W, 3], or a PIL image, such as Image.fromarray(array, "RGBA")'
        )
    return "an image is uint8 [H, W, 3], uint16 or floats from 0 to 1 in RGB too, or grey [H, W] of any real type"


def _from_file(source: str | os.PathLike[str] | io.BytesIO, name: str, max_pixels: int) -> Image.Image:
    with _pillow_errors(name, max_pixels), Image.open(source) as image:
        if image.format == "EPS":  # Pillow would start Ghostscript, which runs the file as a program
            raise ImageError(f"{name}: EPS is a program, not a picture; convert it to PNG")
        if image.format == "JPEG2000" and image.fp is not None and "exif" not in image.info:
            image.info["exif"] = read_exif_of_jpeg2000(image.fp)
        has_low_bytes = has_16_bit_colours(image)
        loaded = _loaded_file(image, name, max_pixels)
        picture = _with_low_bytes(loaded, source, name, max_pixels) if has_low_bytes else loaded
        return upright(_in_rgb(picture), loaded)


def _with_low_bytes(
    high: Image.Image, source: str | os.PathLike[str] | io.BytesIO, name: str, max_pixels: int
) -> Image.Image:
    with Image.open(source) as low:
        is_grey = read_low_bytes(low)
        _load(low, name, max_pixels)
        return to_8_bits(high, low, is_grey=is_grey)


def _loaded_file(image: Image.Image, name: str, max_pixels: int) -> Image.Image:
    """Decode the pixels; a JPEG that lacks nothing but the marker at its end is taken too."""
    try:
        _load(image, name, max_pixels)
    except OSError:
        if not isinstance(image, JpegImageFile) or image.fp is None:
            raise
        image.fp.seek(0)
        whole = decode_without_end(image.fp.read())
        if whole is None:
            raise
        return whole
    return image


def _load(image: Image.Image, name: str, max_pixels: int) -> None:
    """Decode the pixels, unless the header says that there are too many, or a JPEG that it would take for ever."""
    _check_size(image.size, name, max_pixels)
    if isinstance(image, JpegImageFile) and image.fp is not None:
        refuse_endless_scans(image.fp, name)
    with silent_libtiff():
        image.load()
    _check_size(image.size, name, max_pixels)  # an icon's real size is known only after loading


def _in_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded image as transformers' `convert_to_rgb` does, but for grey of more than 8 bits."""
    if image.mode in WIDE_MODES:
        return wide_image_to_rgb(image)
    if _may_be_transparent(image):
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _may_be_transparent(image: Image.Image) -> bool:
    """Go by the mode, not by the bands: the A of LAB is a colour, and that of multiplied alpha is written small."""
    palette = image.palette if image.mode == "P" else None
    has_alpha = image.mode in ALPHA_MODES or (palette is not None and palette.mode.endswith("A"))
    return has_alpha or image.info.get("transparency") is not None


def _on_white(image: Image.Image) -> Image.Image:
    """Lay a transparent image on white, strip by strip: as a whole it would take five images' memory."""
    width, height = image.size
    result = Image.new("RGB", image.size)
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        strip = strip.convert("LA") if strip.mode == "La" else strip  # Pillow knows no other way out of La
        strip = strip.convert("RGBA")
        white = Image.new("RGBA", strip.size, (255, 255, 255, 255))
        result.paste(Image.alpha_composite(white, strip).convert("RGB"), (0, top))
    return result


def _check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{name}: {width} x {height} pixels; there is nothing to see")
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {width} x {height} pixels are over the limit of {max_pixels} pixels; scale it down",
            over_limit=True,
        )


@contextmanager
def _pillow_errors(name: str, max_pixels: int) -> Iterator[None]:
    """Turn whatever Pillow raises into an `ImageError`, and suppress its warnings."""
    try:
        with _WHOLE_PROCESS, warnings.catch_warnings(), _unlogged():
            warnings.simplefilter("ignore")
            yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: not an image, or of a kind that Pillow cannot read; try PNG or JPEG") from error
    except Image.DecompressionBombError as error:
        own = 2 * Image.MAX_IMAGE_PIXELS if Image.MAX_IMAGE_PIXELS else max_pixels
        over_limit, limit = max_pixels <= own, min(own, max_pixels)
        remedy = "scale it down" if over_limit else "scale it down, or raise PIL.Image.MAX_IMAGE_PIXELS"
        message = f"{name}: more pixels than the limit of {limit} pixels; {remedy}"
        raise ImageError(message, over_limit=over_limit) from error
    except Exception as error:  # its many parsers raise whatever they trip over
        raise ImageError(f"{name}: truncated, damaged or not readable ({reason(error)})") from error


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep what Pillow logs from standard error, where Python writes it if the program set up no logging."""
    logger, nowhere = logging.getLogger("PIL"), logging.NullHandler()
    logger.addHandler(nowhere)
    try:
        yield
    finally:
        logger.removeHandler(nowhere)
