"""Answers that are JSON of a stated shape: what is asked for, and what an answer is read into.

The shape holds twice. While the answer is written, a grammar lets the model choose among
tokens that keep to it; afterwards the whole is validated, by pydantic or by `jsonschema`,
which also sees what no grammar can express.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticUserError

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.plain_json import load_plain_json
from uhd_edge.runtime.schema.to_grammar import build_grammar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from uhd_edge.runtime.answer import Answer

# A schema for an answer of a few hundred tokens is far smaller; larger ones are not hand-written.
MOST_CHARACTERS = 64 * 1024

# JSON schemas that are kept ready: each takes more than a millisecond.
KEPT = 16

# Characters of an answer in an error's message.
SHOWN = 200


@dataclass(frozen=True)
class AnswerSchema:
    """A schema made ready: `grammar` is for llama.cpp, `read` turns an answer's text into its value.

    It can be used for any number of questions, from any thread.
    """

    grammar: str
    _read: Callable[[str], Any] = field(repr=False)

    def read(self, text: str) -> Any:
        """Parse and validate an answer; raises `SchemaError` that says what does not fit."""
        try:
            return self._read(text)
        except RecursionError as error:
            raise SchemaError("the answer does not fit the schema: it is nested too deeply to be read") from error

    def parsed(self, answer: Answer) -> Any:
        """Read an answer's text; raises `SchemaError`, which carries the answer, for one that does not fit."""
        try:
            return self.read(answer.text)
        except SchemaError as error:
            begun = f"{answer.text[:SHOWN]!r}" + (".." if len(answer.text) > SHOWN else "")
            reason = str(error)
            if answer.finish_reason == "length":
                tokens = answer.usage.completion_tokens
                reason = (
                    f"the answer was cut off after {tokens} tokens, before its JSON was complete; raise --max-tokens"
                )
            elif not is_json(answer.text):  # though the grammar guarantees JSON
                reason = "a stop text ended the answer before its JSON was complete; leave out `stop`"
            raise SchemaError(f"{reason}: {begun}", answer) from error


SchemaInput: TypeAlias = "Mapping[str, Any] | bool | str | type[BaseModel] | AnswerSchema"


def answer_schema(schema: SchemaInput) -> AnswerSchema:
    """Make a schema ready: a JSON schema, its text, or a pydantic model's class.

    A JSON schema's answers are read into dicts, lists, strings and numbers, a model's into
    its instances. Raises `SchemaError` for a schema that is none, that nothing fits, or
    that cannot be enforced, and `MissingExtraError` where `jsonschema` is not installed,
    which a pydantic model does without.
    """
    if isinstance(schema, AnswerSchema):
        return schema
    try:
        if isinstance(schema, type) and issubclass(schema, BaseModel) and schema is not BaseModel:
            return _of_model(schema)
        return _of_text(_as_text(schema))
    except RecursionError as error:
        raise SchemaError("the schema is nested too deeply; put its parts under $defs") from error


def _of_model(model: type[BaseModel]) -> AnswerSchema:
    try:
        schema = model.model_json_schema()
    except PydanticUserError as error:
        reason = str(error).partition("\n")[0]
        raise SchemaError(f"{model.__name__} has no JSON schema: {reason}") from error

    def read(text: str) -> BaseModel:
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or model.__name__
            said = " ".join(first["msg"].split())
            raise SchemaError(f"the answer does not fit the schema: {where}: {said}") from error

    try:
        return AnswerSchema(build_grammar(_as_json(schema)), read)
    except (TypeError, ValueError, AttributeError, KeyError, ArithmeticError) as error:  # by `json_schema_extra`, say
        raise SchemaError(
            f"{model.__name__} does not produce a valid JSON schema ({type(error).__name__}: {error})"
        ) from error


def _as_text(schema: object) -> str:
    """The schema as JSON's text, or what was passed as that."""
    try:
        text = str.__str__(schema) if isinstance(schema, str) else json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _no_json(error) from error
    if len(text) > MOST_CHARACTERS:
        raise SchemaError(f"the schema has {len(text)} characters, more than {MOST_CHARACTERS}; simplify it")
    return text


def _as_json(schema: object) -> Any:
    """The schema as plain JSON."""
    try:
        return load_plain_json(_as_text(schema))
    except ValueError as error:
        raise _no_json(error) from error


def _no_json(error: Exception) -> SchemaError:
    return SchemaError(f"the schema is no JSON ({error}); pass a JSON schema, its text or a pydantic model's class")


def is_json(text: str) -> bool:
    """Whether a text is whole JSON."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=KEPT)
def _of_text(text: str) -> AnswerSchema:
    """Make a JSON schema's text ready. Programs ask with the same few schemas again and again."""
    schema = _as_json(text)
    if not isinstance(schema, dict | bool):
        raise SchemaError(f"the schema is a JSON {type(schema).__name__}; it must be an object")
    from uhd_edge.runtime.schema.validation import make_validator

    read = make_validator(schema)
    return AnswerSchema(build_grammar(schema), read)
