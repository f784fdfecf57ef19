"""The strings a JSON schema allows, as a grammar of what stands between the quotes and with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uhd_edge.runtime.errors import SchemaError
from uhd_edge.runtime.schema.grammar import (
    MOST_REPETITIONS,
    Alternatives,
    Characters,
    Concatenation,
    Node,
    Repeat,
    Text,
    characters,
)
from uhd_edge.runtime.schema.pattern import PLAIN, pattern_node

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEX = Characters(((0x30, 0x39), (0x41, 0x46), (0x61, 0x66)))
_HEX_BUT_D = Characters(((0x30, 0x39), (0x41, 0x43), (0x45, 0x46), (0x61, 0x63), (0x65, 0x66)))
# \uD800 to \uDFFF are halves of characters; the model writes whole ones as they are.
_CODE = Alternatives(
    (
        Concatenation((_HEX_BUT_D, Repeat(_HEX, 3, 3))),
        Concatenation((characters("dD"), Characters(((0x30, 0x37),)), Repeat(_HEX, 2, 2))),
    )
)
ESCAPE = Concatenation((Text("\\"), Alternatives((characters('"\\/bfnrt'), Concatenation((Text("u"), _CODE))))))
CHARACTER: Final = Alternatives((Characters(PLAIN), ESCAPE))

_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
# Years of four digits that every calendar knows, and no 29th of February, which not every year has.
_DATE = r"[12]\d{3}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))"
_OCTET = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_LABEL = r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?"
FORMATS: Final[Mapping[str, str]] = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": r"P[0-9]{1,4}D|PT[0-9]{1,4}[HMS]",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "ipv4": rf"{_OCTET}(\.{_OCTET}){{3}}",
    "hostname": rf"{_LABEL}(\.{_LABEL}){{0,5}}",
    "email": rf"[a-z0-9]{{1,32}}(\.[a-z0-9]{{1,32}}){{0,3}}@{_LABEL}(\.{_LABEL}){{0,3}}\.[a-z]{{2,10}}",
    "uri": rf"https?://{_LABEL}(\.{_LABEL}){{1,4}}(/[A-Za-z0-9._~-]{{0,64}}){{0,8}}",
}


def string_node(schema: Mapping[str, Any]) -> Node:
    """A JSON string of a length from `minLength` to `maxLength`, or one that fits `pattern` or `format`.

    A string with a pattern is what the pattern describes and nothing around it. Lengths
    beside a pattern or a format, and formats that are not listed, are left to the
    validation of the answer. Raises `SchemaError` for what cannot be written as a grammar.
    """
    if isinstance(pattern := schema.get("pattern"), str):
        return quoted(pattern_node(pattern))
    if isinstance(pattern := FORMATS.get(str(schema.get("format"))), str):
        return quoted(pattern_node(pattern))
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if least > MOST_REPETITIONS:
        raise SchemaError(f"minLength is {least}; an answer has at most {MOST_REPETITIONS} characters to fill")
    if most is not None and most < least:
        return Alternatives(())
    return quoted(Repeat(CHARACTER, least, None if most is None else int(most)))


def quoted(content: Node) -> Node:
    """`content` between the quotes of a JSON string."""
    return Concatenation((Text('"'), content, Text('"')))
