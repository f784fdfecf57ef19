"""The libraries below Pillow write nothing of their own: a damaged TIFF is one error of ours."""

from __future__ import annotations

import io
import logging
import struct
import threading

import pytest
from PIL import Image
from support.images.files import encoded, picture

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.formats.libtiff import silent_libtiff
from uhd_edge.runtime.images.loading import load_image


@pytest.fixture(scope="module")
def damaged() -> bytes:
    """A TIFF whose compressed data are none, of which libtiff complains."""
    tiff = encoded(picture(), "TIFF", compression="tiff_adobe_deflate")
    return tiff[:8] + bytes(100) + tiff[108:]


@pytest.fixture(scope="module")
def many_samples() -> bytes:
    """A TIFF that claims 200 samples for each pixel, which Pillow logs."""
    tiff = bytearray(encoded(picture(), "TIFF"))
    (directory,) = struct.unpack_from("<I", tiff, 4)
    for entry in range(directory + 2, directory + 2 + 12 * struct.unpack_from("<H", tiff, directory)[0], 12):
        if struct.unpack_from("<H", tiff, entry)[0] == 277:
            struct.pack_into("<H", tiff, entry + 8, 200)
    return bytes(tiff)


def load_by_pillow(tiff: bytes) -> None:
    with Image.open(io.BytesIO(tiff)) as image:
        image.load()


def test_libtiff_is_silent_for_us_and_for_nobody_else(capfd: pytest.CaptureFixture[str], damaged: bytes) -> None:
    with pytest.raises(OSError, match="decoder error"):
        load_by_pillow(damaged)
    said = capfd.readouterr().err
    assert "ZIPDecode" in said
    with pytest.raises(ImageError, match="damaged") as caught:
        load_image(damaged)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(OSError, match="decoder error"):
        load_by_pillow(damaged)
    assert capfd.readouterr().err == said


def test_pictures_that_are_damaged_in_many_threads_leave_libtiff_as_it_was(
    capfd: pytest.CaptureFixture[str], damaged: bytes
) -> None:
    def refuse() -> None:
        for _ in range(5):
            with pytest.raises(ImageError):
                load_image(damaged)

    threads = [threading.Thread(target=refuse) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert capfd.readouterr() == ("", "")
    with pytest.raises(OSError, match="decoder error"):
        load_by_pillow(damaged)
    assert capfd.readouterr().err != ""


def test_others_write_to_standard_error_while_libtiff_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    with silent_libtiff():
        os.write(2, b"still here\n")
    assert capfd.readouterr().err == "still here\n"


def test_what_pillow_logs_goes_to_a_program_s_own_log_and_not_to_standard_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, many_samples: bytes
) -> None:
    kept: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record.getMessage())

    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with pytest.raises(ImageError):
        load_image(many_samples)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(logging.getLogger(), "handlers", [Kept()])
    with pytest.raises(ImageError):
        load_image(many_samples)
    assert kept == ["More samples per pixel than can be decoded: 200"]
