"""What is given as tools is checked, and refused in one line."""

from __future__ import annotations

from functools import cache, partial
from typing import Any, Literal

import pytest
from transformers.utils import get_json_schema

from uhd_edge.runtime.errors import OptionError
from uhd_edge.runtime.tools.call_format import find_call_format
from uhd_edge.runtime.tools.functions import describe_function
from uhd_edge.runtime.tools.given_tools import parse_tools

STOP = {"name": "stop"}


def bare(metres, speed=1):  # type: ignore[no-untyped-def]
    raise NotImplementedError


def other(thing: object) -> None: ...


def many(*metres: int) -> None: ...


def named(**options: int) -> None: ...


def placed(metres: int, /, speed: int = 1) -> None: ...


def move(metres: float, speed: float = 1.0, *, arm: Literal["left", "right"] = "left") -> str:
    """Move an arm.

    Args:
        metres: How far.
        speed: How fast.
    """
    raise NotImplementedError(metres, speed, arm)


def undocumented(metres: int) -> "Nothing": ...  # type: ignore[name-defined]  # noqa: F821, UP037


def halved() -> None:
    "Half \ud83d"


class Arm:
    def grip(self, force: float, hand: str = "left") -> None:
        """Grip.

        Args:
            force: In newtons.
        """


@pytest.mark.parametrize(
    ("tools", "choice", "reason"),
    [
        ("stop", "auto", "tools is str; it must be a list"),
        ([3], "auto", "tool 0 is int; it must be a function, or its definition"),
        ([{}], "auto", "tool 0: the name is None"),
        ([{"function": 3}], "auto", "tool 0: the name is None"),
        ([{"name": "a b"}], "auto", "tool 0: the name is 'a b'"),
        ([{"name": "a>"}], "auto", "tool 0: the name is 'a>'"),
        ([STOP, STOP], "auto", "'stop' more than once"),
        ([{"name": "a", "parameters": 3}], "auto", "parameters is int"),
        ([{"name": "a", "parameters": {"x": {1}}}], "auto", "tool 0 is no JSON"),
        ([{"name": "a", "description": "x" * 70_000}], "auto", "characters, more than"),
        ([{"name": "a", "description": "\ud83d"}], "auto", "tool 0: '\\ud83d' is not valid Unicode"),
        ([halved], "auto", "tool 0: 'Half \\ud83d' is not valid Unicode"),
        ([STOP] * 200, "auto", "tools has 200 entries"),
        ([STOP], "go", "tool_choice is 'go'; it must be one of auto, none, required, stop"),
        ([], "required", "there are no tools"),
        ([bare], "auto", "bare: the parameter metres has no type hint"),
        ([other], "auto", "other: the type of thing has no JSON schema"),
        ([many], "auto", "many: *metres takes any number of arguments, which a call cannot name; take a list"),
        ([named], "auto", "named: **options takes arguments of any name, but a model has to be told their names;"),
        ([placed], "auto", "placed: metres can be given by its place alone, as a / stands behind it, but a call names"),
        ([partial(many, 1)], "auto", "many: *metres takes any number"),
        ([partial(move, 1, 2, 3)], "auto", "move cannot be described"),
        ([Arm], "auto", "Arm is a class, and calling it would make an object; give a function, or a method of an"),
        ([int], "auto", "int is a class"),
        ([partial(Arm)], "auto", "Arm is a class"),
        ([undocumented], "auto", "undocumented cannot be described"),
    ],
)
def test_a_wrong_tool_is_refused_with_what_to_do(tools: Any, choice: str, reason: str) -> None:
    with pytest.raises(OptionError) as refused:
        parse_tools(tools, choice)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_method_is_described_without_its_object() -> None:
    described = describe_function(Arm().grip)["function"]
    assert described["parameters"] == {
        "type": "object",
        "properties": {"force": {"type": "number", "description": "In newtons."}, "hand": {"type": "string"}},
        "required": ["force"],
    }


def test_a_partial_is_described_by_what_it_leaves_open() -> None:
    def open_of_both(speed: float = 1.0) -> str:
        """Move an arm.

        Args:
            speed: How fast.
        """
        raise NotImplementedError(speed)

    expected = get_json_schema(open_of_both)["function"] | {"name": "move"}
    left = partial(partial(move, 2.0), arm="left")
    assert parse_tools([left], "auto").tools[0].definition["function"] == expected
    by_name = describe_function(partial(move, metres=1.0))["function"]["parameters"]
    assert by_name["properties"].keys() == {"speed", "arm"}
    assert "required" not in by_name
    assert describe_function(partial(placed, 1))["function"]["parameters"]["properties"] == {
        "speed": {"type": "integer"}
    }


def test_an_object_that_can_be_called_is_described_by_its_call() -> None:
    class Gripper:
        force: str

        def __call__(self, force: float) -> bool:
            """Grip."""
            raise NotImplementedError(force)

    assert describe_function(Gripper())["function"] == {
        "name": "Gripper",
        "description": "Grip.",
        "parameters": {"type": "object", "properties": {"force": {"type": "number"}}, "required": ["force"]},
        "return": {"type": "boolean"},
    }
    assert describe_function(cache(move)) == describe_function(move)


def test_a_definition_stays_as_it_was_when_its_owner_changes_it() -> None:
    given = {"name": "stop", "parameters": {"type": "object", "properties": {}}}
    tools = parse_tools([given], "auto")
    given["name"] = "go"
    assert tools.definitions == ({"name": "stop", "parameters": {"type": "object", "properties": {}}},)


@pytest.mark.parametrize("wrapped", [True, False])
def test_what_clients_tell_a_server_is_not_what_the_model_reads(wrapped: bool) -> None:
    plain = {"name": "stop", "description": "Stops.", "parameters": {"type": "object", "properties": {}}}
    hints = {"strict": True, "cache_control": {"type": "ephemeral"}, "defer_loading": False, "return": None}
    given = {"type": "function", "function": plain | hints, "strict": None} if wrapped else plain | hints
    expected = {"type": "function", "function": plain} if wrapped else plain
    assert parse_tools([given], "auto").definitions == (expected,)


@pytest.mark.parametrize("template", ["{{ messages }}", "{% if tools %}{% endif %}", "<tool_call>{{ tools }}"])
def test_a_template_without_calls_is_refused(template: str) -> None:
    with pytest.raises(OptionError, match="cannot call functions"):
        find_call_format(template)
