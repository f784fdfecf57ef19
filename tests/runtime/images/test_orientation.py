"""A picture is turned upright in every format that says how it was held."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, TiffImagePlugin, features
from support.images.files import encoded, picture

from uhd_edge.runtime.images.loading import load_image
from uhd_edge.runtime.images.orientation import read_exif_of_jpeg2000

EXIF_BOX = b"JpgTiffExif->JP2"
ORIENTATIONS = range(1, 9)
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>',
    "<x:xmpmeta><rdf:Description><tiff:Orientation>{}</tiff:Orientation></rdf:Description></x:xmpmeta>",
)


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def corners() -> Image.Image:
    """Four even quarters, no two alike: a format that loses detail keeps them."""
    return picture(2, 2, seed=4).resize((64, 48), Image.Resampling.NEAREST)


def like_imagemagick(orientation: int) -> bytes:
    """A PNG with EXIF as text, from before PNG had a place for it."""
    exif = exif_of(orientation).tobytes()
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}\n", zip=True)
    return encoded(corners(), "PNG", pnginfo=notes)


def without_end(orientation: int) -> bytes:
    return encoded(corners(), "JPEG", exif=exif_of(orientation)).removesuffix(b"\xff\xd9")


def jpeg2000(orientation: int, *, long_box: bool = False, last: bool = False) -> bytes:
    """A JP2 file with EXIF in a box, as exiftool writes it; Pillow writes none."""
    photo = encoded(corners(), "JPEG2000")
    content = EXIF_BOX + exif_of(orientation).tobytes().removeprefix(b"Exif\0\0")
    size = (
        struct.pack(">I4sQ", 1, b"uuid", len(content) + 16)
        if long_box
        else struct.pack(">I4s", len(content) + 8, b"uuid")
    )
    box = (struct.pack(">I4s", 0, b"uuid") if last else size) + content
    if last:
        at = photo.index(b"jp2c") - 4
        code_stream = photo[at + 8 :]
        return photo[:at] + struct.pack(">I4s", len(code_stream) + 8, b"jp2c") + code_stream + box
    at = photo.index(b"jp2c") - 4
    return photo[:at] + box + photo[at:]


def with_exif(kind: str, **options: Any) -> Callable[[int], bytes]:
    return lambda orientation: encoded(corners(), kind, exif=exif_of(orientation), **options)


# Every format that Pillow opens and in which it, or an agreement, has a place for EXIF.
WRITERS: dict[str, Callable[[int], bytes]] = {
    "JPEG": with_exif("JPEG"),
    "JPEG without its end": without_end,
    "MPO": with_exif("MPO", save_all=True, append_images=[corners()]),
    "PNG": with_exif("PNG"),
    "PNG with EXIF as text": like_imagemagick,
    "WEBP": with_exif("WEBP"),
    "TIFF": with_exif("TIFF"),
    "TIFF by libtiff": with_exif("TIFF", compression="tiff_lzw"),
    "JPEG 2000": jpeg2000,
}
if features.check("avif"):
    WRITERS["AVIF"] = with_exif("AVIF")


def assert_turned(photo: bytes, orientation: int) -> None:
    """Compare with Pillow's own turn; where quarters meet, a format may have lost detail."""
    reference = corners()
    reference.getexif()[ExifTags.Base.Orientation] = orientation
    expected = np.asarray(ImageOps.exif_transpose(reference)).astype(int)
    result = np.asarray(load_image(photo)).astype(int)
    assert result.shape == expected.shape
    rows, columns = (np.array([1, 3]) * size // 4 for size in expected.shape[:2])  # the quarters' middles
    assert abs(result - expected)[np.ix_(rows, columns)].max() <= 12


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", WRITERS)
def test_a_picture_is_turned_as_its_exif_says(kind: str, orientation: int) -> None:
    assert_turned(WRITERS[kind](orientation), orientation)


def with_xmp(kind: str, xmp: str) -> bytes:
    if kind == "PNG":
        notes = PngImagePlugin.PngInfo()
        notes.add_itxt("XML:com.adobe.xmp", xmp)
        return encoded(corners(), kind, pnginfo=notes)
    if kind == "TIFF":
        return encoded(corners(), kind, tiffinfo={TiffImagePlugin.XMP: xmp.encode()})
    return encoded(corners(), kind, xmp=xmp.encode())


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_as_its_xmp_says_where_it_has_no_exif(kind: str, orientation: int) -> None:
    for spelling in XMP:
        assert_turned(with_xmp(kind, spelling.format(orientation)), orientation)


@pytest.mark.parametrize("options", [{}, {"long_box": True}, {"last": True}])
def test_a_jpeg_2000_is_turned_as_its_box_of_exif_says(options: dict[str, bool]) -> None:
    photo = jpeg2000(6, **options)
    upright = np.asarray(load_image(encoded(corners(), "JPEG2000")).transpose(Image.Transpose.ROTATE_270))
    assert np.array_equal(np.asarray(load_image(photo)), upright)


def test_boxes_that_make_no_sense_are_no_exif() -> None:
    photo = jpeg2000(6)
    assert read_exif_of_jpeg2000(io.BytesIO(photo))
    for start in range(0, len(photo), 5):
        read_exif_of_jpeg2000(io.BytesIO(photo[start:]))
    assert read_exif_of_jpeg2000(io.BytesIO(struct.pack(">I4s", 4, b"uuid") * 5)) == b""
    assert read_exif_of_jpeg2000(io.BytesIO(b"")) == b""


def test_the_position_in_the_file_stays() -> None:
    stream = io.BytesIO(jpeg2000(6))
    stream.seek(5)
    read_exif_of_jpeg2000(stream)
    assert stream.tell() == 5
