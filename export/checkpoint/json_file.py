"""The JSON files of a checkpoint, with errors that name the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from uhd_edge.engines.errors import first_wrong_field
from uhd_edge.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

Record = TypeVar("Record", bound=BaseModel)


def read_object(file: Path) -> dict[str, Any]:
    """Read `file`, a JSON object; raises `CheckpointError` when it is missing, unreadable or not an object."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{file.parent}: {file.name} is missing; a checkpoint is a folder that transformers has saved"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: not valid JSON; copy or download the checkpoint again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file}: not a JSON object; copy or download the checkpoint again")
    return content


def read_optional_object(file: Path) -> dict[str, Any]:
    """Read `file`, a JSON object; empty when there is no such file."""
    return read_object(file) if file.exists() else {}


def validated(kind: type[Record], content: object, where: str) -> Record:
    """Read `content` as a `kind`; raises `CheckpointError` that names `where` and the first wrong field."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        found = _shortened(error.errors(include_url=False)[0]["input"])
        raise CheckpointError(f"{where}: {first_wrong_field(error)}, found {found}") from error


def _shortened(found: object) -> str:
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."
