"""Whether an answer fits a JSON schema as a whole, by `jsonschema`: what no grammar can express included.

Schemas come from users of a server too. So nothing is looked up on a network, and patterns
are matched by pydantic's engine for them (that of Rust), which takes no longer for one
pattern than for another; Python's own can take hours for a short text. And references are
followed so many times and no more, as each may hold two others.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import StringConstraints, TypeAdapter, ValidationError
from pydantic_core import SchemaError as PatternError

from uhd_edge.engines.extras import extra_needed
from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.references import follow_references

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from uhd_edge.runtime.schema.keywords import Check

# References that are followed, and unevaluated parts that are looked for, to check one answer.
MOST_REFERENCES = 10_000
# What may check the same part again and again: it doubles with each that lies in another.
COSTLY = ("$ref", "unevaluatedItems", "unevaluatedProperties")
# Characters of a pattern, and of what `jsonschema` says, which may quote the whole schema.
SHOWN = 200


def make_validator(schema: dict[str, Any] | bool) -> Callable[[str], Any]:
    """Return what reads an answer's text into a JSON value and raises `SchemaError` when that does not fit.

    Raises `SchemaError` for what is no JSON schema or has a pattern that cannot be matched
    safely, and `MissingExtraError` where `jsonschema` is not installed.
    """
    with extra_needed("schema", "a JSON schema (a pydantic model does without)"):
        import jsonschema.exceptions
        import jsonschema.validators
        import referencing.exceptions
    from uhd_edge.runtime.schema.keywords import keywords

    kind = jsonschema.validators.validator_for(_named_draft(schema), default=jsonschema.Draft202012Validator)
    if kind is jsonschema.Draft3Validator:
        raise SchemaError("$schema names draft 3, which is not supported; use draft 2020-12")
    try:
        kind.check_schema(schema)  # pyright: ignore[reportArgumentType]  # true and false are schemas too
    except jsonschema.SchemaError as error:
        raise SchemaError(f"this is no JSON schema: {error.json_path}: {_first_line(error)}") from error
    except re.error as error:
        raise SchemaError(f"this is no JSON schema: {_first_line(error)}") from error
    # Without `$schema`: `jsonschema` goes over to another class wherever it meets that, by a reference to the whole.
    bare = follow_references(schema)
    matchers = {pattern: _matcher(pattern) for pattern in _patterns_in(bare)}
    kind = jsonschema.validators.extend(kind, keywords(matchers, bare))
    costly = {name: kind.VALIDATORS[name] for name in COSTLY if name in kind.VALIDATORS}

    def read(text: str) -> Any:
        limited = jsonschema.validators.extend(kind, _limited(costly))
        # A registry of its own looks nothing up on the network.
        validator = limited(bare, registry=referencing.Registry(), format_checker=kind.FORMAT_CHECKER)
        try:
            value = json.loads(text)
            error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        except (ValueError, ArithmeticError, re.error, referencing.exceptions.Unresolvable) as broken:
            raise SchemaError(f"the answer cannot be checked against the schema: {_first_line(broken)}") from broken
        if error is not None:
            raise SchemaError(f"the answer does not fit the schema: {error.json_path}: {_first_line(error)}")
        return value

    return read


def _named_draft(schema: Mapping[str, Any] | bool) -> Mapping[str, Any] | bool:
    if isinstance(schema, dict) and not isinstance(schema.get("$schema", ""), str):
        raise SchemaError("$schema must be a text that names a draft; leave it out")
    return schema


def _limited(checks: Mapping[str, Check]) -> dict[str, Check]:
    """These checks, made so many times in all."""
    made = itertools.count(1)

    def limited(check: Check) -> Check:
        def counted(validator: Any, keyword: Any, value: object, schema: Any) -> Iterator[Exception]:
            if next(made) > MOST_REFERENCES:
                raise SchemaError(
                    f"checking the answer takes more than {MOST_REFERENCES} references or unevaluated parts; "
                    "simplify the schema"
                )
            yield from check(validator, keyword, value, schema) or ()

        return counted

    return {name: limited(check) for name, check in checks.items()}


def _matcher(pattern: str) -> Callable[[str], bool]:
    try:
        adapter: TypeAdapter[str] = TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
    except PatternError as error:
        raise SchemaError(f"the pattern {_shortened(pattern)} cannot be matched safely: {_why_not(error)}") from error

    def matches(text: str) -> bool:
        try:
            adapter.validate_python(text)
        except ValidationError:
            return False
        return True

    return matches


def _shortened(pattern: str) -> str:
    return repr(pattern if len(pattern) <= SHOWN else f"{pattern[:SHOWN]}..")


def _why_not(error: PatternError) -> str:
    """Return the reason in the last line of an error about a pattern."""
    reason = str(error).strip().rpartition("\n")[2].strip()
    if "size limit" in reason:
        return "it repeats too much, so that it would take too much memory; ask for fewer repetitions"
    return reason.removeprefix("error: ")


def _patterns_in(schema: object) -> Iterator[str]:
    """All patterns of a schema."""
    if isinstance(schema, list):
        for part in schema:
            yield from _patterns_in(part)
    if not isinstance(schema, dict):
        return
    if isinstance(pattern := schema.get("pattern"), str):
        yield pattern
    if isinstance(names := schema.get("patternProperties"), dict):
        yield from names
    for part in schema.values():
        yield from _patterns_in(part)


def _first_line(error: Exception) -> str:
    """Return what an error says; `jsonschema` begins with the value, which is shown as JSON instead of as Python."""
    line = str(getattr(error, "message", error)).partition("\n")[0]
    value = getattr(error, "instance", "")
    if not isinstance(value, str) and line.startswith(repr(value)):
        line = json.dumps(value, ensure_ascii=False) + line.removeprefix(repr(value))
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}.."
