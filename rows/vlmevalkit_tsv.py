"""VLMEvalKit's TSV: a header, and in `image` the pictures as base64 or the `index` of the row that has them."""

from __future__ import annotations

import csv
from itertools import islice
from typing import TYPE_CHECKING

from uhd_edge.rows.errors import DataSetError
from uhd_edge.rows.pictures import Base64Picture
from uhd_edge.rows.row import RawRow, as_list, renamed_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from uhd_edge.rows.pictures import Picture

LONGEST_INDEX = 64  # characters; a longer `image` is a picture, as in VLMEvalKit's `ImageBaseDataset`
LARGEST_FIELD = 2**31 - 1


def read_tsv(file: Path, renamed: Mapping[str, str], begin: int = 0) -> Iterator[RawRow]:
    """Read the rows of a file, from number `begin` on; `category`, or else `split`, is the group.

    Raises `DataSetError` for a broken file.
    """
    shared = _shared_pictures(file)
    for number, row in islice(_rows(file), begin, None):
        where = f"{file.name}, row {number}"
        values = row | renamed_values(where, row, renamed)
        values.setdefault("group", values.get("category") or values.get("split") or "")
        yield RawRow(where, values, _pictures(where, values, shared, file.parent))


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(LARGEST_FIELD)  # a picture is one field
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            for number, values in enumerate(csv.DictReader(stream, delimiter="\t"), 1):
                if None in values:
                    raise DataSetError(f"{file.name}, row {number}: more fields than the header has columns")
                yield number, {column: value for column, value in values.items() if value is not None}
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataSetError(f"{file.name}: not a TSV ({error})") from error


def _shared_pictures(file: Path) -> dict[str, str]:
    """The pictures that other rows name by their index."""
    wanted = {values["image"] for _, values in _rows(file) if 0 < len(values.get("image", "")) <= LONGEST_INDEX}
    if not wanted:
        return {}
    return {
        values["index"]: values["image"]
        for _, values in _rows(file)
        if values.get("index") in wanted and len(values.get("image", "")) > LONGEST_INDEX
    }


def _pictures(
    where: str, values: Mapping[str, str], shared: Mapping[str, str], folder: Path
) -> tuple[Picture, ...] | None:
    given = values.get("image")
    if given:
        if len(given) <= LONGEST_INDEX and given not in shared:
            raise DataSetError(f"{where}: the image is that of row {given!r}, which has none")
        return tuple(Base64Picture(str(one)) for one in as_list(shared.get(given, given)))
    if "image_path" in values:
        return tuple(folder / str(one) for one in as_list(values["image_path"]) if one)
    return None if given is None else ()
