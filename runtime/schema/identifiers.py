"""Where the parts of a JSON schema are: which keywords hold schemas, and what an identifier names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urljoin

from uhd_edge.runtime.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The way from the whole schema to a part of it, as keys of objects and indices of arrays.
Path: TypeAlias = "tuple[str | int, ...]"

_HOLD_ONE = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_HOLD_LIST = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_HOLD_NAMED = frozenset({"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"})


def parts(schema: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """The schemas right inside `schema`, of any draft, and the steps that lead to each.

    What stands in `const`, `enum` or an unknown keyword is no schema, though it may look like one.
    """
    for keyword, value in list(schema.items()):
        if keyword in _HOLD_ONE and isinstance(value, dict | bool):
            yield (keyword,), value
        elif keyword in _HOLD_LIST and isinstance(value, list):
            yield from (((keyword, number), part) for number, part in enumerate(value))
        elif keyword in _HOLD_NAMED and isinstance(value, dict):
            named = ((name, part) for name, part in value.items() if isinstance(part, dict | bool))
            yield from (((keyword, name), part) for name, part in named)


class Identifiers:
    """What the identifiers of a schema name.

    A part with an `$id` is a resource: references inside are relative to it, and anchors belong to it.
    In old drafts (`refs_stand_alone`) an `$id` beside a `$ref` is none.
    """

    def __init__(self, root: dict[str, Any], id_keyword: str, *, refs_stand_alone: bool) -> None:
        self.root = root
        self._id_keyword = id_keyword
        self._refs_stand_alone = refs_stand_alone
        self._resources: dict[str, Path] = {}
        self._addresses: dict[Path, str] = {}
        self._anchors: dict[tuple[str, str], Path] = {}
        self._dynamic: dict[str, dict[str, Path]] = {}
        self._collect(root, (), "")

    def at(self, path: Path) -> Any:
        """The part at `path`, which exists."""
        found: Any = self.root
        for step in path:
            found = found[step]
        return found

    def dynamic_anchors(self, path: Path) -> Mapping[str, Path]:
        """What the `$dynamicAnchor`s name in the resource to which the part at `path` belongs."""
        return self._dynamic.get(self._address(path), {})

    def find(self, reference: object, path: Path, keyword: str) -> Path:
        """Where the part is that a reference names which stands at `path`; raises `SchemaError` for none."""
        if not isinstance(reference, str):
            raise SchemaError(f"{keyword} {reference!r} is no text; give the path of a schema, such as #/$defs/name")
        address, _, fragment = _joined(self._address(path), reference).partition("#")
        if address not in self._resources:
            raise SchemaError(f"{keyword} {reference!r} is outside the schema; put what it names under $defs")
        fragment = unquote(fragment)
        found: Path | None = self._resources[address]
        if fragment.startswith("/"):
            found = self._walk(self._resources[address], fragment)
        elif fragment:
            found = self._anchors.get((address, fragment))
        if found is None:
            raise SchemaError(f"{keyword} {reference!r} names nothing in the schema")
        if not isinstance(self.at(found), dict | bool):
            raise SchemaError(f"{keyword} {reference!r} names no schema")
        return found

    def _walk(self, start: Path, pointer: str) -> Path | None:
        path = start
        found: Any = self.at(start)
        for step in pointer.split("/")[1:]:
            if isinstance(found, list):
                if not step.isdecimal() or int(step) >= len(found):
                    return None
                path, found = (*path, int(step)), found[int(step)]
                continue
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                return None
            path, found = (*path, key), found[key]
        return path

    def _address(self, path: Path) -> str:
        """The resource of the part at `path`: the nearest one around it."""
        return next(self._addresses[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self._addresses)

    def _collect(self, schema: Any, path: Path, base: str) -> None:
        if not isinstance(schema, dict):
            return
        name = schema.get(self._id_keyword)
        if not isinstance(name, str) or (self._refs_stand_alone and "$ref" in schema):
            name = ""
        address, _, anchor = name.partition("#")
        if address or not path:
            base = _joined(base, address).partition("#")[0]
            self._add(self._resources, base, path)
            self._addresses[path] = base
        if anchor and not anchor.startswith("/"):
            self._add(self._anchors, (base, anchor), path)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(named := schema.get(keyword), str):
                self._add(self._anchors, (base, named), path)
                if keyword == "$dynamicAnchor":
                    self._dynamic.setdefault(base, {})[named] = path
        for step, part in parts(schema):
            self._collect(part, (*path, *step), base)

    def _add(self, known: dict[Any, Path], name: Any, path: Path) -> None:
        if known.setdefault(name, path) != path:
            shown = "#".join(name) if isinstance(name, tuple) else name
            raise SchemaError(f"two parts of the schema are named {shown}; name each once")


def _joined(base: str, reference: str) -> str:
    """A reference as an address, from the address of what it stands in; a URN has no paths to join."""
    if reference.startswith("#") or not reference:
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError as error:
        raise SchemaError(f"{reference!r} is no address ({error})") from error
