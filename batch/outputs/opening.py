"""The output for a name: `.jsonl` is a file, `.parquet` a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from uhd_edge.batch.outputs.json_lines import JsonLinesOutput
from uhd_edge.batch.outputs.parquet import ParquetOutput
from uhd_edge.engines.extras import extra_needed
from uhd_edge.runtime.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Output: TypeAlias = JsonLinesOutput | ParquetOutput


def check_output(path: Path) -> None:
    """Raise `OptionError` for a name of no known kind, and `MissingExtraError` for parquet without pyarrow."""
    if path.suffix.lower() not in (".jsonl", ".ndjson", ".parquet"):
        raise OptionError(f"--output {path}: give a name that ends in .jsonl, or in .parquet for a folder of those")
    if path.suffix.lower() == ".parquet":
        with extra_needed("parquet", "answers in parquet"):
            import pyarrow.parquet  # noqa: F401


def open_output(path: Path, head: Mapping[str, Any], *, ordered: bool = True) -> Output:
    """Open what `check_output` accepts, with the rows that are in it already."""
    kind = ParquetOutput if path.suffix.lower() == ".parquet" else JsonLinesOutput
    return kind(path, head, ordered=ordered)
