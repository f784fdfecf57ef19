"""`--schema FILE`: answers as JSON of a given shape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from uhd_edge.runtime.schema.answer_schema import AnswerSchema

schema_option = click.option(
    "--schema",
    metavar="FILE",
    help="JSON schema that the answer must fit; say in the question what is wanted. Needs jsonschema.",
)


def schema_in(file: str | None) -> AnswerSchema | None:
    """Read a schema from a file; raises `SchemaError` when it is missing, or no answer can fit it."""
    if file is None:
        return None
    from uhd_edge.runtime.errors import SchemaError
    from uhd_edge.runtime.schema.answer_schema import answer_schema

    try:
        return answer_schema(Path(file).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SchemaError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SchemaError(f"{file}: not UTF-8 text, so not a JSON schema") from error
    except SchemaError as error:
        raise SchemaError(f"{file}: {error}") from error
