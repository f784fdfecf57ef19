"""A grammar as values, and llama.cpp's notation of it (GBNF).

llama.cpp aborts or hangs on some grammars, so what is written here never is one of them:
a rule without an end is cut away, what repeats stands in a rule of its own (a nested
repetition multiplies against llama.cpp's limit of 2000), and the whole has a largest size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# llama.cpp refuses a longer repetition (MAX_REPETITION_THRESHOLD).
MOST_REPETITIONS = 2000


@dataclass(frozen=True)
class Text:
    """These characters."""

    text: str


@dataclass(frozen=True)
class Characters:
    """One character whose code point is in one of the ranges, both ends included."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Concatenation:
    """All parts, one after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Alternatives:
    """One of the options; with no options it matches nothing."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """The part, from `least` to `most` times; None is without an end."""

    part: Node
    least: int
    most: int | None


@dataclass(frozen=True)
class Rule:
    """A reference to the rule of this name."""

    name: str


Node: TypeAlias = Text | Characters | Concatenation | Alternatives | Repeat | Rule

EMPTY = Concatenation(())
NOTHING = Alternatives(())


def characters(text: str) -> Characters:
    """One of the characters of `text`."""
    return Characters(tuple((ord(character), ord(character)) for character in text))


def optional(node: Node) -> Node:
    """`node`, or no text."""
    return Alternatives((node, EMPTY))


def may_be_empty(node: Node) -> bool:
    """Whether `node`, which holds no `Rule`, can be no text."""
    match node:
        case Text(text):
            return not text
        case Concatenation(parts):
            return all(may_be_empty(part) for part in parts)
        case Alternatives(options):
            return any(may_be_empty(option) for option in options)
        case Repeat(part, least, _):
            return least == 0 or may_be_empty(part)
        case _:
            return False


def with_an_end(rules: Mapping[str, Node]) -> dict[str, Node]:
    """Drop rules that can never end, and in the others the options that can never end.

    An object that must contain an object of its own kind never ends: the model would write
    it until it is cut off.
    """
    ending: set[str] = set()
    found, order = True, list(rules)
    while found:
        found = False
        order.reverse()  # what a rule needs stands before or after it, seldom both
        for name in order:
            if name not in ending and _ends(rules[name], ending):
                ending.add(name)
                found = True
    return {name: _cut(node, ending) for name, node in rules.items() if name in ending}


def _ends(node: Node, ending: set[str]) -> bool:
    match node:
        case Text():
            return True
        case Characters(ranges):
            return bool(ranges)
        case Concatenation(parts):
            return all(_ends(part, ending) for part in parts)
        case Alternatives(options):
            return any(_ends(option, ending) for option in options)
        case Repeat(part, least, _):
            return least == 0 or _ends(part, ending)
        case Rule(name):
            return name in ending


def _cut(node: Node, ending: set[str]) -> Node:
    match node:
        case Concatenation(parts):
            return Concatenation(tuple(_cut(part, ending) for part in parts))
        case Alternatives(options):
            return Alternatives(tuple(_cut(option, ending) for option in options if _ends(option, ending)))
        case Repeat(part, least, most):
            return Repeat(_cut(part, ending), least, most) if _ends(part, ending) else EMPTY
        case _:
            return node


def reachable(rules: Mapping[str, Node], root: str) -> list[str]:
    """The names of the rules that `root` needs, in order."""
    found, waiting = {root: None}, [root]
    while waiting:
        for name in _names_in(rules[waiting.pop()]):
            if name not in found:
                found[name] = None
                waiting.append(name)
    return list(found)


def _names_in(node: Node) -> list[str]:
    match node:
        case Rule(name):
            return [name]
        case Concatenation(parts) | Alternatives(parts):
            return [name for part in parts for name in _names_in(part)]
        case Repeat(part, _, _):
            return _names_in(part)
        case _:
            return []


@dataclass
class GrammarText:
    """Writes rules in llama.cpp's notation; `size` counts what llama.cpp will hold in memory for them."""

    size: int = 0
    _lines: list[str] = field(default_factory=list)
    _repeated: dict[Node, str] = field(default_factory=dict)

    def of(self, rules: Mapping[str, Node], root: str) -> str:
        """Return the grammar that starts at the rule `root`; names are of letters, digits and hyphens."""
        self._lines.append(f"root ::= {root}")
        for name, node in rules.items():
            self._lines.append(f"{name} ::= {self._written(node)}")
        return "\n".join(self._lines) + "\n"

    def _written(self, node: Node, *, inside: bool = False) -> str:
        match node:
            case Text(text):
                self.size += len(text)
                return _quoted(text)
            case Characters(ranges):
                self.size += 2 * len(ranges)
                return f"[{''.join(_written_ranges(ranges))}]"
            case Concatenation(parts):
                return " ".join([self._written(part, inside=True) for part in parts]) if parts else '""'
            case Alternatives(options):
                alternatives = " | ".join(self._written(option) for option in dict.fromkeys(options))
                return f"({alternatives})" if inside else alternatives
            case Repeat():
                return self._written_repeat(node)
            case Rule(name):
                self.size += 1
                return name

    def _written_repeat(self, node: Repeat) -> str:
        if node.most == 0:
            return '""'
        part = self._written(node.part) if isinstance(node.part, Rule | Characters) else self._rule_for(node.part)
        most = node.most if node.most is None or node.most <= MOST_REPETITIONS else None
        self.size += 4 * (node.least if most is None else most)
        return f"{part}{{{node.least},{'' if most is None else most}}}"

    def _rule_for(self, node: Node) -> str:
        if node not in self._repeated:
            self._repeated[node] = name = f"repeated-{len(self._repeated)}"
            self._lines.append(f"{name} ::= {self._written(node)}")
        return self._repeated[node]


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(ord(character)) for character in text) + '"'


def _written_ranges(ranges: Iterable[tuple[int, int]]) -> Iterator[str]:
    for first, last in ranges:
        yield _escaped(first) if first == last else f"{_escaped(first)}-{_escaped(last)}"


def _escaped(point: int) -> str:
    """Write one character so that it means itself both in quotes and in brackets."""
    character = chr(point)
    if character.isascii() and (character.isalnum() or character in " {}:,._"):
        return character
    if point <= 0xFF:
        return f"\\x{point:02X}"
    return f"\\u{point:04X}" if point <= 0xFFFF else f"\\U{point:08X}"
