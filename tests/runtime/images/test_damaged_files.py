"""Files with changed, missing and added bytes give an image or one clear error."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.images.files import encoded, picture

from uhd_edge.runtime.errors import ImageError
from uhd_edge.runtime.images.loading import load_image

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
