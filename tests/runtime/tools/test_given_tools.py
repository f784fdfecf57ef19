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
SIDE = {"type": "object", "properties": {"side": {"enum": ["left", "right"]}}, "required": ["side"]}


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


def unclosed(metres: "list[int") -> None: ...  # type: ignore[valid-type]  # noqa: F722


def divided(metres: "1 / 0") -> None: ...  # type: ignore[valid-type]  # noqa: UP037


def choosing(side: str) -> None:
    """Choose.

    Args:
        side: Which one (choices: ['left', 'right'])
    """


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
        ([{}], "auto", "tool 0: the name is missing"),
        ([{"function": 3}], "auto", "tool 0: the name is missing"),
        ([{"name": 5}], "auto", "tool 0: the name is no text"),
        ([{"type": 5}], "auto", "tool 0 has a type that is no text; give functions"),
        ([{"name": "a b"}], "auto", "tool 0: the name is 'a b'"),
        ([{"name": "a>"}], "auto", "tool 0: the name is 'a>'"),
        ([STOP, STOP], "auto", "'stop' more than once"),
        *[([{"name": "a", "parameters": wrong}], "auto", "parameters must be ") for wrong in (3, 0, [], "", False)],
        ([{"name": "a", "inputSchema": "x"}], "auto", "tool 0 ('a'): inputSchema must be a JSON schema, and an object"),
        (
            [{"name": "a", "parameters": SIDE, "input_schema": {}}],
            "auto",
            "tool 0 ('a'): input_schema and parameters differ; give the parameters once",
        ),
        (
            [{"function": {"name": "a", "parameters": {}}, "parameters": SIDE}],
            "auto",
            "parameters and parameters differ",
        ),
        (
            [{"name": "a", "arguments": SIDE}],
            "auto",
            "tool 0 ('a'): arguments is not known; if it is the schema of a call",
        ),
        ([STOP, {"name": "0", "parameters": 3}], "auto", "tool 1 ('0'): parameters must be a JSON schema"),
        ([{"function": {"name": "a"}, "args_schema": SIDE}], "auto", "tool 0 ('a'): args_schema is not known"),
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
        ([unclosed], "auto", "unclosed cannot be described: Forward reference"),
        ([divided], "auto", "divided cannot be described: division by zero"),
        ([choosing], "auto", "choosing: the choices of side are ['left', 'right'], which is no JSON; write them as in"),
        ([Arm.grip], "auto", "grip: nothing is bound to self, so this is a method without its object; give the object"),
        ([partial(Arm.grip, force=1.0)], "auto", "grip: nothing is bound to self"),
    ],
)
def test_a_wrong_tool_is_refused_with_what_to_do(tools: Any, choice: str, reason: str) -> None:
    with pytest.raises(OptionError) as refused:
        parse_tools(tools, choice)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": {"name": "turn", "description": "Turn.", "parameters": SIDE}},
        {"type": "function", "name": "turn", "description": "Turn.", "parameters": SIDE},
        {"name": "turn", "description": "Turn.", "input_schema": SIDE},
        {"type": "function", "function": {"name": "turn", "description": "Turn.", "inputSchema": SIDE}},
        {"type": "function", "function": {"name": "turn", "description": "Turn."}, "input_schema": SIDE},
        {"name": "turn", "description": "Turn.", "parametersJsonSchema": SIDE, "parameters": None},
        {"name": "turn", "description": "Turn.", "input_schema": SIDE, "parameters": SIDE},
        {"name": "turn", "description": "Turn.", "inputSchema": SIDE, "cache_control": {"type": "ephemeral"}},
    ],
)
def test_a_function_is_the_same_in_the_words_of_every_api(tool: dict[str, Any]) -> None:
    (read,) = parse_tools([tool], "auto").tools
    function = {"name": "turn", "description": "Turn.", "parameters": SIDE}
    assert (read.parameters, read.definition) == (SIDE, {"type": "function", "function": function})


def test_what_comes_back_is_no_parameter() -> None:
    (read,) = parse_tools([{"name": "look", "outputSchema": SIDE}], "auto").tools
    assert read.parameters == {"type": "object", "properties": {}}


def test_a_method_is_described_without_its_object() -> None:
    described = describe_function(Arm().grip)["function"]
    assert described["parameters"] == {
        "type": "object",
        "properties": {"force": {"type": "number", "description": "In newtons."}, "hand": {"type": "string"}},
        "required": ["force"],
    }
    assert describe_function(partial(Arm.grip, Arm()))["function"]["parameters"] == described["parameters"]


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
    function = {"name": "stop", "parameters": {"type": "object", "properties": {}}}
    given = {"type": "function", "function": dict(function)}
    tools = parse_tools([given], "auto")
    given["function"]["name"] = "go"  # type: ignore[index]
    assert tools.definitions == ({"type": "function", "function": function},)


@pytest.mark.parametrize("wrapped", [True, False])
def test_what_clients_tell_a_server_is_not_what_the_model_reads(wrapped: bool) -> None:
    plain = {"name": "stop", "description": "Stops.", "parameters": {"type": "object", "properties": {}}}
    hints = {"strict": True, "cache_control": {"type": "ephemeral"}, "defer_loading": False, "return": None}
    given = {"type": "function", "function": plain | hints, "strict": None} if wrapped else plain | hints
    assert parse_tools([given], "auto").definitions == ({"type": "function", "function": plain},)


@pytest.mark.parametrize("template", ["{{ messages }}", "{% if tools %}{% endif %}", "<tool_call>{{ tools }}"])
def test_a_template_without_calls_is_refused(template: str) -> None:
    with pytest.raises(OptionError, match="cannot call functions"):
        find_call_format(template)
