"""Whether an answer fits a JSON schema as a whole, by `jsonschema`: what no grammar can express included.

Schemas come from users of a server too. So nothing is looked up on a network, and patterns
are matched by pydantic's engine for them (that of Rust), which takes no longer for one
pattern than for another; Python's own can take hours for a short text.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import StringConstraints, TypeAdapter, ValidationError
from pydantic_core import SchemaError as PatternError

from uhd_edge.engines.extras import extra_needed
from uhd_edge.runtime.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def validator_of(schema: Mapping[str, Any] | bool) -> Callable[[str], Any]:
    """Return what reads an answer's text into a JSON value and raises `SchemaError` when that does not fit.

    Raises `SchemaError` for what is no JSON schema or has a pattern that cannot be matched
    safely, and `MissingExtraError` where `jsonschema` is not installed.
    """
    with extra_needed("schema", "a JSON schema (a pydantic model does without)"):
        import jsonschema
        import referencing
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except (jsonschema.SchemaError, re.error) as error:
        raise SchemaError(f"this is no JSON schema: {_first_line(error)}") from error
    patterns = {pattern: _matcher(pattern) for pattern in _patterns_in(schema)}

    def fits_pattern(_validator: object, pattern: str, value: object, _schema: object) -> Iterator[Exception]:
        if isinstance(value, str) and not patterns[pattern](value):
            yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")

    kind = jsonschema.validators.extend(kind, {"pattern": fits_pattern})
    # A registry of its own looks nothing up on the network.
    validator = kind(schema, registry=referencing.Registry(), format_checker=kind.FORMAT_CHECKER)

    def read(text: str) -> Any:
        try:
            value = json.loads(text)
            error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        except (ValueError, ArithmeticError, re.error, referencing.exceptions.Unresolvable) as broken:
            raise SchemaError(f"the answer cannot be checked against the schema: {_first_line(broken)}") from broken
        if error is not None:
            raise SchemaError(f"the answer does not fit the schema: {error.json_path}: {_first_line(error)}")
        return value

    return read


def _matcher(pattern: str) -> Callable[[str], bool]:
    try:
        adapter: TypeAdapter[str] = TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
    except PatternError as error:
        raise SchemaError(f"the pattern {pattern!r} cannot be matched safely: no lookarounds, no references") from error

    def matches(text: str) -> bool:
        try:
            adapter.validate_python(text)
        except ValidationError:
            return False
        return True

    return matches


def _patterns_in(schema: object) -> Iterator[str]:
    """All patterns of a schema; those of names, which `jsonschema` matches itself, must not be ambiguous."""
    if isinstance(schema, list):
        for part in schema:
            yield from _patterns_in(part)
    if not isinstance(schema, dict):
        return
    if isinstance(pattern := schema.get("pattern"), str):
        yield pattern
    if isinstance(names := schema.get("patternProperties"), dict):
        for name in names:
            if re.search(r"[*+?}]\)[*+{]|\\\d", name):
                raise SchemaError(f"the pattern {name!r} repeats what repeats in itself; write it in another way")
    for part in schema.values():
        yield from _patterns_in(part)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "message", error)).partition("\n")[0]
