"""The references of a JSON schema, followed: each becomes the path of a schema under `$defs`.

A `$ref` may name a schema by its path, by an `$anchor`, or by the `$id` of a part that carries
its own; a `$dynamicRef` names another one depending on the way that led to it, so a part that
holds one is written once for each such way. What has been followed holds no other identifiers,
so whoever reads the schema next, the grammar or the validation, follows paths and nothing else.
As in JSON Schema 2020-12, core, sections 8.2 and 9; in draft 7 and before, what stands beside
a `$ref` is ignored.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias, overload
from urllib.parse import unquote

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.identifiers import Identifiers, Path, parts

if TYPE_CHECKING:
    from collections.abc import Mapping

Schema: TypeAlias = "bool | dict[str, Any]"

# Schemas come from users of a server too: a schema whose references unfold to more is refused.
MOST_NAMED = 2000
MOST_PARTS = 20_000

NEWEST = "https://json-schema.org/draft/2020-12/schema"
_FOLLOWED = frozenset(
    {"$schema", "$id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$ref", "$dynamicRef", "$defs", "definitions"}
)


@overload
def follow_references(schema: dict[str, Any]) -> dict[str, Any]: ...
@overload
def follow_references(schema: bool) -> bool: ...  # true and false are schemas too
@overload
def follow_references(schema: Schema) -> Schema: ...
def follow_references(schema: Schema) -> Schema:
    """Return a schema that means the same, whose only references are `#` and `#/$defs/NUMBER`.

    Raises `SchemaError` for a reference that leads out of the schema or names nothing, for
    two parts of one name, and for a part that names another draft than the whole.
    """
    return _Following(schema).whole() if isinstance(schema, dict) else schema


class _Following:
    """Copies a schema, and every schema that it names, with references that are paths in the copy.

    `scope` is where each `$dynamicAnchor` leads on the present way: of all that were passed, the first.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self._draft = str(root.get("$schema", NEWEST)).rstrip("#")
        self._siblings_count = not any(f"draft-0{number}" in self._draft for number in range(3, 8))
        self._known = Identifiers(
            root, "id" if "draft-04" in self._draft else "$id", refs_stand_alone=not self._siblings_count
        )
        self._names: dict[tuple[Path, frozenset[tuple[str, Path]]], str] = {}
        self._waiting: deque[tuple[str, Path, dict[str, Path]]] = deque()
        self._count = 0

    def whole(self) -> Schema:
        self._name((), {})
        _, path, scope = self._waiting.popleft()
        root = self._copy(self._known.root, path, scope)
        definitions: dict[str, Schema] = {}
        while self._waiting:
            name, path, scope = self._waiting.popleft()
            definitions[name] = self._copy(self._known.at(path), path, scope)
        return {**root, "$defs": definitions} if definitions and isinstance(root, dict) else root

    def _name(self, path: Path, scope: Mapping[str, Path]) -> str:
        """The reference, in the copy, to the schema at `path` as it is meant when come upon by way of `scope`."""
        scope = {**self._known.dynamic_anchors(path), **scope}
        key = (path, frozenset(scope.items()))
        if key not in self._names:
            number = str(len(self._names))
            self._names[key] = f"#/$defs/{number}" if self._names else "#"
            self._waiting.append((number, path, scope))
        return self._names[key]

    def _copy(self, schema: Any, path: Path, scope: Mapping[str, Path]) -> Schema:
        self._count += 1
        if self._count > MOST_PARTS or len(self._names) > MOST_NAMED:
            raise SchemaError("the schema's references unfold to too many parts; simplify it")
        if not isinstance(schema, dict):
            return schema  # type: ignore[no-any-return]
        self._check_keywords(schema)
        scope = {**self._known.dynamic_anchors(path), **scope}
        names = self._references(schema, path, scope)
        if names and not self._siblings_count:
            return {"$ref": names[0]}
        copy: dict[str, Any] = {key: value for key, value in schema.items() if key not in _FOLLOWED}
        for step, part in parts(copy):
            _put(copy, step, self._copy(part, (*path, *step), scope))
        if len(names) > 1:
            copy["allOf"] = [*copy.get("allOf", ()), *({"$ref": name} for name in names[1:])]
        return {"$ref": names[0], **copy} if names else copy

    def _references(self, schema: Mapping[str, Any], path: Path, scope: Mapping[str, Path]) -> list[str]:
        names = []
        if "$ref" in schema:
            names.append(self._name(self._known.find(schema["$ref"], path, "$ref"), scope))
        if "$dynamicRef" in schema:
            reference = schema["$dynamicRef"]
            found = self._known.find(reference, path, "$dynamicRef")
            anchor = unquote(reference.partition("#")[2])
            if self._known.dynamic_anchors(found).get(anchor) == found:
                found = scope.get(anchor, found)
            names.append(self._name(found, scope))
        return names

    def _check_keywords(self, schema: Mapping[str, Any]) -> None:
        draft = schema.get("$schema")
        if isinstance(draft, str) and draft.rstrip("#") != self._draft:
            raise SchemaError(f"$schema inside a schema names another draft, {draft!r}; leave it out")
        if "$recursiveRef" in schema:
            raise SchemaError("$recursiveRef is not supported; use $ref or $dynamicRef")


def _put(schema: dict[str, Any], step: Path, part: Schema) -> None:
    """Replace the part of `schema` that lies one or two steps below it; what holds parts is copied first."""
    keyword = step[0]
    if len(step) == 1:
        schema[str(keyword)] = part
        return
    held = schema[str(keyword)]
    copy: Any = list(held) if isinstance(held, list) else dict(held)
    copy[step[1]] = part
    schema[str(keyword)] = copy
