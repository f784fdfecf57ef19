"""What a file of answers is about, in a small file beside it, so that only the same run goes on with it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from uhd_edge.rows.errors import ResultsError
from uhd_edge.runtime.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def require_own(file: Path, answers: Path) -> None:
    """Raise `ResultsError` where there are answers but no `file` beside them: somebody else's, which stay untouched."""
    if not file.exists():
        raise ResultsError(f"{answers}: exists, and is no run of uhd batch; choose another --output")


def require_same_run(file: Path, head: Mapping[str, Any], *, answers: Path) -> None:
    """Raise `ResultsError` if the answers are not about `head`."""
    try:
        before = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ResultsError(f"{file}: cannot be read; choose another --output") from error
    different = [name for name in head if before.get(name) != json.loads(json.dumps(head[name]))]
    if different:
        raise ResultsError(
            f"{answers}: has answers of another run (other {', '.join(different)}); repeat that one, delete it, or "
            "choose another --output"
        )


def write_head(file: Path, head: Mapping[str, Any]) -> None:
    """Write the head of answers that begin; raises `OutputError` when it cannot be written."""
    temporary = file.with_name(f"{file.name}.unfinished")
    try:
        temporary.write_text(json.dumps(head, indent=1) + "\n", encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise OutputError(f"{error.filename or file}: cannot be written ({error.strerror})") from error
