"""JSON lines: an object a line, whose `image` names a file beside it."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from uhd_edge.rows.errors import DataSetError
from uhd_edge.rows.pictures import Base64Picture
from uhd_edge.rows.row import RawRow, as_list, renamed_values
from uhd_edge.runtime.images.data_uri import is_data_uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from uhd_edge.rows.pictures import Picture


def read_json_lines(file: Path, renamed: Mapping[str, str], begin: int = 0) -> Iterator[RawRow]:
    """Read the rows of a file, from number `begin` on; empty lines are left out.

    Raises `DataSetError` for a line that is no object.
    """
    with file.open("rb") as stream:
        lines = ((number, line) for number, line in enumerate(stream, 1) if line.strip())
        for number, line in islice(lines, begin, None):
            where = f"{file.name}, line {number}"
            values = _object(where, line)
            values |= renamed_values(where, values, renamed)
            yield RawRow(where, values, _pictures(where, values, file.parent))


def _object(where: str, line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataSetError(f"{where}: not JSON ({error.msg} at character {error.pos + 1})") from error
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise DataSetError(f"{where}: not JSON ({error})") from error
    if not isinstance(values, dict):
        raise DataSetError(f"{where}: a line is an object with image, question and answer, not {type(values).__name__}")
    return values


def _pictures(where: str, values: Mapping[str, Any], folder: Path) -> tuple[Picture, ...] | None:
    """Paths are relative to the file of questions."""
    names = [name for name in ("image", "images") if name in values]
    if not names:
        return None
    given = values[names[-1]]
    listed = [] if given is None else as_list(given)
    if not all(isinstance(one, str) and one for one in listed):
        raise DataSetError(f"{where}: an image is the path of a file or a data URI, or a list of those")
    return tuple(Base64Picture(one) if is_data_uri(one) else folder / one for one in listed)
