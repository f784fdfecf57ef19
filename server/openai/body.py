"""The JSON object that a body holds, with few enough values that reading it takes little memory."""

from __future__ import annotations

import json
from typing import Any, Final

from uhd_edge.server.errors import ApiError

# A value takes up to a few hundred bytes, however short it is written: a body full of `{},` would take
# thirty times its size. No context holds so many; images and long texts are one value each.
MOST_VALUES: Final = 100_000


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body holds; raises `ApiError` 400 for anything else, and 413 for too many values.

    Values are counted by the commas and brackets of the body, those in texts included.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES:
        message = f"the body has more than {MOST_VALUES} commas and opening brackets; send less"
        raise ApiError(413, message, code="body_too_large")
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON ({error})") from error
    if not isinstance(given, dict):
        raise ApiError(400, "the body is not a JSON object")
    return given
