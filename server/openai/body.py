"""The JSON object that a body holds, with few enough values that reading it takes little memory."""

from __future__ import annotations

import json
from typing import Any, Final

from uhd_edge.runtime.schema.plain_json import find_halved_text, load_plain_json, why_unread
from uhd_edge.server.errors import ApiError

# A value takes up to a few hundred bytes, however short it is written: a body full of `{},` would take
# thirty times its size. No context holds so many; images and long texts are one value each.
MOST_VALUES: Final = 100_000

# Characters of a text before what is wrong in it.
SHOWN: Final = 20


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body holds; raises `ApiError` 400 for anything else, and 413 for too many values.

    Values are counted by the body's commas and opening brackets, but for those in texts.
    """
    if _count_separators(body, 0, len(body)) > MOST_VALUES and _has_many_values(body):
        message = f"the body has more than {MOST_VALUES} commas and opening brackets outside of texts; send less"
        raise ApiError(413, message, code="body_too_large")
    try:
        given = load_plain_json(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the body {why_unread(error)}") from error
    if not isinstance(given, dict):
        raise ApiError(400, "the body is not a JSON object")
    if (halved := find_halved_text(given)) is not None:
        where = next(place for place, character in enumerate(halved) if "\ud800" <= character <= "\udfff")
        near = halved[max(0, where - SHOWN) : where + 1]
        raise ApiError(
            400, f"the body is not valid Unicode: {near!r} ends in half of a surrogate pair; send it as UTF-8"
        )
    return given


def _has_many_values(body: bytes) -> bool:
    """Whether a body has more commas and opening brackets outside of its texts than it may have.

    What comes before a mistake in the JSON is read as the parser reads it, which stops there.
    """
    if json.detect_encoding(body) not in ("utf-8", "utf-8-sig"):
        return True  # where a byte of a quote may be half of another character
    if b"\\" in body:  # pairs of backslashes first, so that one that is left belongs to the quote after it
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    count, begin = 0, 0
    for _ in range(2 * MOST_VALUES + 2):  # so many texts and names there can be between so many commas and brackets
        quote = body.find(b'"', begin)
        count += _count_separators(body, begin, len(body) if quote < 0 else quote)
        end = body.find(b'"', quote + 1)
        if count > MOST_VALUES or quote < 0 or end < 0:
            return count > MOST_VALUES
        begin = end + 1
    return True


def _count_separators(body: bytes, begin: int, end: int) -> int:
    return sum(body.count(sign, begin, end) for sign in (b",", b"[", b"{"))
